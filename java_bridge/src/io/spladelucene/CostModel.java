package io.spladelucene;

/**
 * What the engines cost, in nanoseconds. The constants are fitted to measured searches by {@code benchmarks/cost_model.py}; only
 * their ratios matter, so they hold on other machines too.
 */
final class CostModel {
  private static final double LIST_OF_BLOCK = 14; // a list in a block that is scored
  private static final double POSTING = 0.71;
  private static final double BOUNDS = 1.4; // what a search by blocks costs as a whole, for each part that scores them
  private static final double LIGHT = 0.5; // share of the chosen blocks and light lists that a sweep adds up; a guess, the mean is flat around it
  private static final double DOCUMENT = 0.43;
  private static final double BLOCKS_OF_ONE = 133; // blocks that are scored to find the best hit,
  private static final double GROWTH = 0.54; // and the exponent of how they grow with k

  private CostModel() {}

  /** Whether {@link BlockMax} is likely to be worth its bounds and probes. */
  static boolean mayPrune(int k, QueryLists lists) {
    double expected = BLOCKS_OF_ONE * Math.pow(k, GROWTH);
    return expected < BlockMaxima.count(lists.maxDoc) && BOUNDS * runs(expected, lists) < termAtATime(lists);
  }

  /** Of scoring some blocks in runs, after their bounds are known. */
  static double runs(double scored, QueryLists lists) {
    return scored * LIST_OF_BLOCK * lists.size;
  }

  /** Of a sweep, after the bounds are known. */
  static double sweep(double chosen, QueryLists lists) {
    double light = chosen * LIST_OF_BLOCK * (lists.size - lists.heavy);
    return POSTING * lists.heavyTotal() + DOCUMENT * lists.maxDoc + LIGHT * light;
  }

  static double termAtATime(QueryLists lists) {
    return POSTING * lists.total() + DOCUMENT * lists.maxDoc;
  }
}
