/**
 * Indexes of texts and their search with BM25, as Anserini does both.
 *
 * <p>{@link io.spladelucene.bm25.Bm25Writer} writes texts with Anserini's English analyzer through
 * Lucene's IndexWriter. {@link io.spladelucene.bm25.Bm25Index} searches with Anserini's
 * bag-of-words queries through Lucene's IndexSearcher. BM25 is that of Robertson and Zaragoza, The
 * Probabilistic Relevance Framework: BM25 and Beyond, 2009, in Lucene's variant.
 *
 * <p>Python calls {@link io.spladelucene.bm25.Bm25Facade} only. This package uses {@code index},
 * for the format and the statistics of an index, and {@code wire}.
 */
package io.spladelucene.bm25;
