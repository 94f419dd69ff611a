/**
 * The Java side of splade_lucene: impact indexing and impact search over plain Lucene indexes.
 *
 * <p>Everything crosses from Python in batches of little-endian bytes ({@link io.spladelucene.Packed}); no class here
 * is called once per term or once per hit. The flow of a build is
 *
 * <pre>
 *   LineBlocks → PseudoDocumentParser → InvertedBlock → InvertedSegment → Lucene's default codec   (BulkIndexer)
 *   packed documents → ImpactTokenStream → IndexWriter                                             (ImpactIndexWriter)
 *   packed texts → Anserini's English analyzer → IndexWriter                                       (Bm25Writer)
 * </pre>
 *
 * and of a search
 *
 * <pre>
 *   packed queries → ImpactSearcher (term at a time over windows of lucene_docids) → packed hits
 *   packed texts → Anserini's query → Lucene's IndexSearcher with BM25 → packed hits            (Bm25Index)
 * </pre>
 *
 * <p>The index has exactly Anserini's shape: {@code id} is a stored StringField and a BinaryDocValues field,
 * {@code contents} holds one posting a term whose frequency is the impact, {@code raw} is stored on request. The same
 * sources compile against, and the same jar runs on, Lucene 9.9 and Lucene 10.
 */
package io.spladelucene;
