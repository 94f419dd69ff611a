package io.spladelucene.search;

import io.spladelucene.postings.DecodedPostings;

/** The inner loops of scoring, which add postings to sums and compare sums with a score. */
final class Sums {
  private Sums() {}

  /** Adds the postings of a window of documents; the sum of a document is at its position in it. */
  static void addWindow(DecodedPostings list, int queryImpact, int window, int[] sums) {
    addMany(
        list.docs, list.impacts, queryImpact, list.windows[window], list.windows[window + 1], sums);
  }

  // The same loop as in add: the JIT optimizes each for its own typical number of iterations.
  private static void addMany(
      char[] docs, byte[] impacts, int queryImpact, int from, int to, int[] sums) {
    for (int i = from; i < to; i++) {
      sums[docs[i]] += queryImpact * (impacts[i] & 0xFF);
    }
  }

  /** Adds a few postings; the sum of a document is at its position in the window plus a shift. */
  static void add(
      char[] docs, byte[] impacts, int queryImpact, int from, int to, int shift, int[] sums) {
    for (int i = from; i < to; i++) {
      sums[docs[i] + shift] += queryImpact * (impacts[i] & 0xFF);
    }
  }

  /** Whether at least one of some sums, none of which is negative, reaches a score. */
  static boolean reach(int[] sums, int from, int count, long score) {
    if (score <= 0 || score > Integer.MAX_VALUE) {
      return score <= 0;
    }
    int below = (int) score - 1;
    int signs = 0; // the JIT vectorizes this, but not a maximum (JDK 21)
    for (int i = from; i < from + count; i++) {
      signs |= below - sums[i];
    }
    return signs < 0;
  }
}
