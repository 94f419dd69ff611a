/**
 * Search of impact indexes.
 *
 * <pre>
 *   packed queries → ImpactSearcher → per segment: QueryLists → an engine → TopHits → packed hits
 * </pre>
 *
 * <p>{@link io.spladelucene.search.ImpactSearcher} finds the decoded postings of a query's terms in
 * each segment, in a cache or in an accelerator. {@link io.spladelucene.search.CostModel} chooses
 * the engine for the segment:
 *
 * <ul>
 *   <li>{@link io.spladelucene.search.DynamicPruning} computes upper bounds of the scores in each
 *       block of 64 documents, first in groups of eight blocks (Carlson et al., Dynamic Superblock
 *       Pruning for Fast Learned Sparse Retrieval, SIGIR 2025, arXiv 2504.17045). It scores the
 *       blocks with the largest bounds, and then those whose bounds reach the k-th score, with one
 *       of two engines:
 *       <ul>
 *         <li>{@link io.spladelucene.search.BlockMax}: Mallia, Suel and Tonellotto, Faster Learned
 *             Sparse Retrieval with Block-Max Pruning, SIGIR 2024, arXiv 2405.01117.
 *         <li>{@link io.spladelucene.search.MaxScore}: Turtle and Flood, Query Evaluation:
 *             Strategies and Optimizations, Information Processing and Management 1995.
 *       </ul>
 *   <li>{@link io.spladelucene.search.TermAtATime} scores all documents.
 *   <li>{@link io.spladelucene.search.StreamedSearch} does the same with postings that it reads
 *       from Lucene, for lists or scores that are too large for the others.
 * </ul>
 *
 * <p>All engines find the same hits, unless an {@link io.spladelucene.search.Approximation} is
 * asked for. {@link io.spladelucene.search.DocumentFilter} limits which documents may be hits:
 * those with some docids, or those that fulfil a {@link io.spladelucene.search.FieldCondition}. If
 * they are few, {@link io.spladelucene.search.Selection} scores them and no others. A {@link
 * io.spladelucene.search.Cancellation} stops a search from another thread.
 *
 * <p>A {@link io.spladelucene.search.Feedback}, {@link io.spladelucene.search.Rocchio} or {@link
 * io.spladelucene.search.Rm3}, makes a new query of a query and the {@link
 * io.spladelucene.search.DocumentVectors} of its first hits, in a {@link
 * io.spladelucene.search.QueryExpansion}.
 *
 * <p>Python calls {@link io.spladelucene.search.SearchFacade} only. This package uses {@code
 * postings}, {@code fields}, {@code index} and {@code wire}.
 */
package io.spladelucene.search;
