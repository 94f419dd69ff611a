/**
 * Postings in memory, in the two forms that the bridge works with.
 *
 * <ul>
 *   <li>For indexing: {@link io.spladelucene.postings.InvertedBlock} has the postings of a few
 *       thousand documents by term, {@link io.spladelucene.postings.ForwardBlock} has the same by
 *       document. Both are sequences of variable-length integers.
 *   <li>For searching: {@link io.spladelucene.postings.PostingsReader} decodes a list of Lucene
 *       into {@link io.spladelucene.postings.ImpactPlanes}, lists of impacts of one byte ({@link
 *       io.spladelucene.postings.DecodedPostings}). {@link io.spladelucene.postings.BlockMaxima}
 *       has the largest impact of such a list in each block of 64 documents, from which block-max
 *       pruning computes its bounds: Ding and Suel, Faster Top-k Document Retrieval Using Block-Max
 *       Indexes, SIGIR 2011; with blocks of a fixed range of documents as in Mallia, Suel and
 *       Tonellotto, Faster Learned Sparse Retrieval with Block-Max Pruning, SIGIR 2024, arXiv
 *       2405.01117; and with groups of blocks as in Carlson et al., Dynamic Superblock Pruning for
 *       Fast Learned Sparse Retrieval, SIGIR 2025, arXiv 2504.17045.
 * </ul>
 *
 * <p>The package knows neither fields nor queries, and uses no other package of the bridge.
 */
package io.spladelucene.postings;
