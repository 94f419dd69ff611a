/**
 * Indexes of texts and their search with BM25, as Anserini does both.
 *
 * <p>{@link io.spladelucene.bm25.Bm25Writer} writes texts with Anserini's English analyzer through
 * Lucene's IndexWriter. {@link io.spladelucene.bm25.Bm25Index} is such an index, {@link
 * io.spladelucene.bm25.Bm25Field} the field of texts that an impact index may have; {@link
 * io.spladelucene.bm25.Bm25Queries} searches both with Anserini's bag-of-words queries through
 * Lucene's IndexSearcher. BM25 is that of Robertson and Zaragoza, The Probabilistic Relevance
 * Framework: BM25 and Beyond, 2009, in Lucene's variant.
 *
 * <p>Python calls {@link io.spladelucene.bm25.Bm25Facade} only. This package uses {@code index},
 * for the format and the statistics of an index, {@code search}, for filters and cancellation, and
 * {@code wire}.
 */
package io.spladelucene.bm25;
