package io.spladelucene;

/**
 * What the engines cost, in nanoseconds. The constants are fitted to measured searches by {@code benchmarks/cost_model.py}; only
 * their ratios matter, so they hold on other machines too.
 */
final class CostModel {
  private static final double LIST_OF_BLOCK = 10; // a list in a block that is scored
  private static final double POSTING_OF_BLOCK = 3; // an average block's posting, of which blocks that are scored have more
  private static final double POSTING = 1;
  private static final double DOCUMENT = 0.15;
  private static final double BLOCKS_OF_ONE = 150; // blocks that are scored to find the best hit,
  private static final double GROWTH = 0.53; // and the exponent of how they grow with k

  private CostModel() {}

  /** Whether {@link BlockMax} is worth a try: it sees after its first blocks how many are left. */
  static boolean mayPrune(int k, QueryLists lists) {
    int blocks = BlockMaxima.count(lists.maxDoc);
    double expected = BLOCKS_OF_ONE * Math.pow(k, GROWTH);
    return expected < blocks && blockMax(expected, lists) < termAtATime(lists);
  }

  /** Of scoring some blocks, after their bounds are known. */
  static double blockMax(double scored, QueryLists lists) {
    int blocks = BlockMaxima.count(lists.maxDoc);
    return scored * (LIST_OF_BLOCK * lists.size + POSTING_OF_BLOCK * lists.total() / blocks);
  }

  static double termAtATime(QueryLists lists) {
    return POSTING * lists.total() + DOCUMENT * lists.maxDoc;
  }
}
