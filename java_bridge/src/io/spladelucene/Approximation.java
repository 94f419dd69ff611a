package io.spladelucene;

/**
 * What a search may leave out, each for speed and at the risk of missing hits.
 *
 * @param alpha a block of documents is skipped if this share of its bound does not reach the k-th score; 1: none is lost
 * @param blocks blocks that are scored at most in a leaf, those with the largest bounds; 0: any number
 * @param beta share of a query's terms that are searched, those with the largest impacts; 1: all
 * @param candidates if the query was cut: so many of its hits are scored again with all terms; 0: none
 */
public record Approximation(double alpha, int blocks, double beta, int candidates) {
  static final Approximation NONE = new Approximation(1, 0, 1, 0);

  /** Whether it leaves out blocks, so that there have to be bounds. */
  boolean needsBlocks() {
    return alpha < 1 || blocks > 0;
  }

  /** The least bound of a block that is worth scoring. */
  long bound(long threshold) {
    return alpha == 1 ? threshold : (long) Math.ceil(threshold / alpha);
  }

  /** How many of a query's terms are searched. */
  int terms(int all) {
    return Math.min(all, (int) Math.ceil(beta * all));
  }
}
