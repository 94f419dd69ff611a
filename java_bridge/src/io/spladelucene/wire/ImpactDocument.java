package io.spladelucene.wire;

import org.apache.lucene.util.BytesRef;

/**
 * A document of an impact index.
 *
 * @param raw the stored field; {@code null} if the document has none
 * @param terms distinct terms, in UTF-8
 * @param impacts the impact of each term, at least 1
 * @param text for BM25; {@code null} if the index has no such field
 * @param values the values of its fields, as FieldSchema reads them; {@code null} if it has none
 */
public record ImpactDocument(
    String docid, String raw, String text, BytesRef[] terms, int[] impacts, BytesRef values) {}
