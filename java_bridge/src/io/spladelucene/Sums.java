package io.spladelucene;

/** The inner loops of all scoring, on sums of the scores of neighbouring documents. */
final class Sums {
  private Sums() {}

  /** Adds a list's postings of a window. */
  static void addWindow(DecodedPostings list, int queryImpact, int window, int[] sums) {
    addMany(list.docs, list.impacts, queryImpact, list.windows[window], list.windows[window + 1], sums);
  }

  /** Apart from {@link #add}, for compilers judge a loop by how often it went round. */
  private static void addMany(char[] docs, byte[] impacts, int queryImpact, int from, int to, int[] sums) {
    for (int i = from; i < to; i++) {
      sums[docs[i]] += queryImpact * (impacts[i] & 0xFF);
    }
  }

  /** Adds a few postings of a list: the sum of a document is at its place in the window plus a shift. */
  static void add(char[] docs, byte[] impacts, int queryImpact, int from, int to, int shift, int[] sums) {
    for (int i = from; i < to; i++) {
      sums[docs[i] + shift] += queryImpact * (impacts[i] & 0xFF);
    }
  }

  /** Whether one of some sums, none of them negative, reaches a score. */
  static boolean reach(int[] sums, int from, int count, long score) {
    if (score <= 0 || score > Integer.MAX_VALUE) {
      return score <= 0;
    }
    int below = (int) score - 1;
    int signs = 0; // a union of signs is vectorized, a maximum is not (JDK 21)
    for (int i = from; i < from + count; i++) {
      signs |= below - sums[i];
    }
    return signs < 0;
  }
}
