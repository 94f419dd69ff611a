package io.spladelucene;

/**
 * What the engines cost, in nanoseconds. The constants are fitted to measured searches by {@code benchmarks/cost_model.py}; only
 * their ratios matter, so they hold on other machines too.
 */
final class CostModel {
  private static final double LIST_OF_BLOCK = 14; // a list in a block that is scored
  private static final double POSTING = 0.7;
  private static final double DOCUMENT = 0.8;
  private static final double BLOCKS_OF_ONE = 135; // blocks that are scored to find the best hit,
  private static final double GROWTH = 0.55; // and the exponent of how they grow with k

  private CostModel() {}

  /** Whether {@link BlockMax} is worth a try: it sees after its first blocks how many are left. */
  static boolean mayPrune(int k, QueryLists lists) {
    double expected = BLOCKS_OF_ONE * Math.pow(k, GROWTH);
    return expected < BlockMaxima.count(lists.maxDoc) && blockMax(expected, lists) < termAtATime(lists);
  }

  /** Of scoring some blocks, after their bounds are known. */
  static double blockMax(double scored, QueryLists lists) {
    return scored * LIST_OF_BLOCK * lists.size;
  }

  static double termAtATime(QueryLists lists) {
    return POSTING * lists.total() + DOCUMENT * lists.maxDoc;
  }
}
