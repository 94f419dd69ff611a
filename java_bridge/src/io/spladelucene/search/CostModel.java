package io.spladelucene.search;

import io.spladelucene.postings.BlockMaxima;

/**
 * Estimates the time that an engine takes, in nanoseconds. {@code benchmarks/cost_model.py} fits
 * the constants to measured searches. Only their ratios matter, so they hold on other machines,
 * too.
 */
final class CostModel {
  // The time of a list in a block that is scored.
  private static final double LIST_OF_BLOCK = 14;
  // The time of a posting.
  private static final double POSTING = 0.71;
  // The whole time of block-max pruning, as a multiple of the time in which it scores blocks.
  private static final double BOUNDS = 1.4;
  // The share of the chosen blocks and light lists that MaxScore adds; estimated, not fitted, since
  // the mean time hardly depends on it.
  private static final double LIGHT = 0.5;
  // The time of a document in a pass over all sums.
  private static final double DOCUMENT = 0.43;
  // The number of blocks that are scored for the k best hits is this times k to the power of
  // GROWTH.
  private static final double BLOCKS_OF_ONE = 133;
  private static final double GROWTH = 0.54;
  // If a filter accepts one document in n, the number is n to the power of GROWTH_OF_FILTER times
  // as large: 1.3 times for n = 2 and 200,000 documents.
  private static final double GROWTH_OF_FILTER = 0.35;

  private CostModel() {}

  /** Whether {@link DynamicPruning} is likely to be faster than {@link TermAtATime}. */
  static boolean isPruningFaster(int k, QueryLists lists) {
    double expected =
        BLOCKS_OF_ONE * Math.pow(k, GROWTH) * Math.pow(lists.oneAcceptedIn(), GROWTH_OF_FILTER);
    return expected < BlockMaxima.count(lists.maxDoc)
        && BOUNDS * blockMax(expected, lists) < termAtATime(lists);
  }

  /** The time of {@link BlockMax} for a number of blocks. */
  static double blockMax(double scored, QueryLists lists) {
    return scored * LIST_OF_BLOCK * lists.size;
  }

  /** The time of {@link MaxScore} for a number of chosen blocks. */
  static double maxScore(double chosen, QueryLists lists) {
    double light = chosen * LIST_OF_BLOCK * (lists.size - lists.heavy);
    return POSTING * lists.heavyTotal() + DOCUMENT * lists.maxDoc + LIGHT * light;
  }

  /** The time of {@link TermAtATime}. */
  private static double termAtATime(QueryLists lists) {
    return POSTING * lists.total() + DOCUMENT * lists.maxDoc;
  }
}
