package io.spladelucene.wire;

/**
 * A document of an index of texts.
 *
 * @param raw the stored field; {@code null} if the document has none
 * @param text what is analyzed and indexed
 */
public record TextDocument(String docid, String raw, String text) {}
