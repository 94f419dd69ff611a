package io.spladelucene.search;

import io.spladelucene.postings.DecodedPostings;
import java.util.Arrays;

/**
 * Scores all documents term at a time, without pruning. It works window by window, so that the sums
 * of a window stay in the processor's cache: the postings of all terms are added, then the sums are
 * compared with the k-th score so far.
 *
 * <p>Turtle and Flood, Query Evaluation: Strategies and Optimizations, Information Processing and
 * Management 1995, call this term-at-a-time evaluation.
 */
final class TermAtATime {
  private static final int CHUNK = 128;

  private final int[] sums = new int[1 << DecodedPostings.WINDOW];

  /**
   * Searches a segment.
   *
   * @param lists whose scores fit into an int
   */
  void search(QueryLists lists, TopHits top) {
    for (int window = 0; window << DecodedPostings.WINDOW < lists.maxDoc; window++) {
      for (int i = 0; i < lists.size; i++) {
        lists.cancellation.check();
        Sums.addWindow(lists.postings[i], lists.queryImpacts[i], window, sums);
      }
      collect(lists, window << DecodedPostings.WINDOW, top);
    }
  }

  private void collect(QueryLists lists, int base, TopHits top) {
    int length = Math.min(sums.length, lists.maxDoc - base);
    long threshold = top.threshold();
    for (int chunk = 0; chunk < length; chunk += CHUNK) {
      if (Sums.reach(sums, chunk, CHUNK, threshold)) {
        for (int i = chunk; i < chunk + CHUNK; i++) {
          if (sums[i] >= threshold && lists.accepts(base + i)) {
            top.offer(sums[i], lists.docBase + base + i);
            threshold = top.threshold();
          }
        }
      }
    }
    Arrays.fill(sums, 0, length, 0);
  }
}
