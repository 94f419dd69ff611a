package io.spladelucene.search;

/**
 * What a search may leave out to be faster. Then it may miss hits; the scores of those it finds are
 * exact, unless the query is cut.
 *
 * <p>{@code alpha} and {@code beta} are those of Mallia, Suel and Tonellotto, Faster Learned Sparse
 * Retrieval with Block-Max Pruning, SIGIR 2024, arXiv 2405.01117.
 *
 * @param alpha a block of documents is skipped if this share of its bound is below the k-th score;
 *     1: no hit is missed
 * @param blocks the number of blocks that are scored at most in a segment, those with the largest
 *     bounds; 0: no limit
 * @param beta the share of the query's terms that are searched, those with the largest impacts; 1:
 *     all
 * @param candidates if the query is cut: the number of its hits whose scores are computed again
 *     with all terms; 0: none
 */
public record Approximation(double alpha, int blocks, double beta, int candidates) {
  /** Nothing is left out. */
  static final Approximation NONE = new Approximation(1, 0, 1, 0);

  /** Whether it leaves out blocks of documents. */
  boolean skipsBlocks() {
    return alpha < 1 || blocks > 0;
  }

  /** The smallest bound of a block that is scored, for a k-th score. */
  long leastBound(long threshold) {
    return alpha == 1 ? threshold : (long) Math.ceil(threshold / alpha);
  }

  /** The number of terms that are searched, of all terms of a query. */
  int terms(int all) {
    return Math.min(all, (int) Math.ceil(beta * all));
  }
}
