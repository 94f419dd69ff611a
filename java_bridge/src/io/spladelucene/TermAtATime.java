package io.spladelucene;

import java.util.Arrays;

/**
 * Adds up all postings of a query's terms, window by window: each term's postings are added to an array of sums that stays
 * in the processor's cache, then the sums are compared with the k-th best score so far.
 */
final class TermAtATime {
  private static final int CHUNK = 128;

  private final int[] sums = new int[1 << DecodedPostings.WINDOW];

  /**
   * Searches a leaf.
   *
   * @param lists whose scores fit into an int
   */
  void search(QueryLists lists, TopHits top) {
    for (int window = 0; window << DecodedPostings.WINDOW < lists.maxDoc; window++) {
      for (int i = 0; i < lists.size; i++) {
        DecodedPostings list = lists.postings[i];
        add(list.docs, list.impacts, lists.queryImpacts[i], list.windows[window], list.windows[window + 1], sums);
      }
      collect(lists, window << DecodedPostings.WINDOW, top);
    }
  }

  private static void add(char[] docs, byte[] impacts, int queryImpact, int from, int to, int[] sums) {
    for (int i = from; i < to; i++) {
      sums[docs[i]] += queryImpact * (impacts[i] & 0xFF);
    }
  }

  private void collect(QueryLists lists, int base, TopHits top) {
    int length = Math.min(sums.length, lists.maxDoc - base);
    long threshold = top.threshold();
    for (int chunk = 0; chunk < length; chunk += CHUNK) {
      if (largest(sums, chunk) >= threshold) {
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

  private static int largest(int[] sums, int from) {
    int largest = 0;
    for (int i = from; i < from + CHUNK; i++) {
      largest = Math.max(largest, sums[i]);
    }
    return largest;
  }
}
