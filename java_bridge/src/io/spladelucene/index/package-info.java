/**
 * Impact indexes on disk: how they are built, changed, read and accelerated.
 *
 * <p>A build reads files of pseudo-documents. When the inverted blocks in memory reach a limit,
 * they are written as one segment; at the end the segments of a new index are merged:
 *
 * <pre>
 *   LineBlocks → PseudoDocumentParser → InvertedBlock → Reordering → InvertedSegment → IndexWriter
 * </pre>
 *
 * {@link io.spladelucene.index.BulkIndexer} runs it on several threads. {@link
 * io.spladelucene.index.GraphBisection} orders the documents of a segment by recursive graph
 * bisection (Dhulipala et al., Compressing Graphs and Indexes with Recursive Graph Bisection, KDD
 * 2016; Mackenzie et al., Compressing Inverted Indexes with Recursive Graph Bisection, ECIR 2019).
 *
 * <p>{@link io.spladelucene.index.ImpactIndexWriter} changes an index document by document, {@link
 * io.spladelucene.index.ImpactIndexReader} reads it, and {@link io.spladelucene.index.Accelerator}
 * is a file of decoded postings for a segment.
 *
 * <p>An index has Anserini's format ({@link io.spladelucene.index.AnseriniFormat}): the field
 * {@code id} is stored and has binary doc values; {@code contents} has a posting for each term of a
 * document, whose frequency is the impact; {@code raw} is stored if the caller wants it. If the
 * caller wants it, {@code bm25} has the terms of the document's text ({@link
 * io.spladelucene.index.TextTerms}). The sources compile against Lucene 9.9 and Lucene 10, and the
 * jar runs on both.
 *
 * <p>Python calls {@link io.spladelucene.index.IndexFacade} only. This package uses {@code
 * postings}, {@code fields} and {@code wire}.
 */
package io.spladelucene.index;
