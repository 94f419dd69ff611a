package io.spladelucene.wire;

import org.apache.lucene.util.BytesRef;

/**
 * A document of an impact index.
 *
 * @param raw the stored field; {@code null} if the document has none
 * @param terms distinct terms, in UTF-8
 * @param impacts the impact of each term, at least 1
 */
public record ImpactDocument(String docid, String raw, BytesRef[] terms, int[] impacts) {}
