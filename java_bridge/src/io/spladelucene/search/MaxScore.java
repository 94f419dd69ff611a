package io.spladelucene.search;

import io.spladelucene.postings.BlockMaxima;

/**
 * MaxScore, window by window: adds the postings of the heavy lists for all documents, and those of
 * the light lists only in the chosen blocks that can still have a hit after that. The light lists
 * are long and contribute little, so that most of their postings are skipped.
 *
 * <p>Turtle and Flood, Query Evaluation: Strategies and Optimizations, Information Processing and
 * Management 1995; here with bounds by block, as in Ding and Suel, Faster Top-k Document Retrieval
 * Using Block-Max Indexes, SIGIR 2011.
 */
final class MaxScore {
  private static final int BLOCKS_OF_WINDOW = 1 << BlockMaxima.IN_WINDOW;

  private final BlockRuns window = new BlockRuns(BLOCKS_OF_WINDOW);

  /**
   * Scores the chosen blocks.
   *
   * @param lists arranged: the heavy ones first
   * @param bounds of {@code chosen}, which is ascending; the first {@code count} elements count
   */
  void score(
      QueryLists lists,
      BlockBounds bounds,
      int[] chosen,
      int count,
      TopHits top,
      Approximation approximation,
      Profile profile) {
    for (int at = 0; at < count; ) {
      int number = chosen[at] >> BlockMaxima.IN_WINDOW;
      lists.cancellation.check();
      for (int i = 0; i < lists.heavy; i++) {
        window.addWindow(lists.postings[i], lists.queryImpacts[i], number);
      }
      for (; at < count && chosen[at] >> BlockMaxima.IN_WINDOW == number; at++) {
        window.take(chosen[at], chosen[at] % BLOCKS_OF_WINDOW, bounds.ofLight(chosen[at]));
      }
      window.score(lists, lists.heavy, approximation.alpha(), top, profile);
      window.clear(BLOCKS_OF_WINDOW);
    }
    profile.postingsScored += lists.heavyTotal();
    profile.blocksScored += count;
  }
}
