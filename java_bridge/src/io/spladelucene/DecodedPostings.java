package io.spladelucene;

import java.util.Arrays;

/**
 * A term's postings in one leaf, in arrays of 16 bits: the documents of each window of 65,536, ascending, and their impacts.
 * The blocks of documents that have the term, for {@link BlockMax}, are found when they are first asked for.
 */
final class DecodedPostings {
  static final int WINDOW = 16; // bits of a document's place in its window
  static final int LARGEST = 0xFFFF; // impact
  private static final int[] RANKS = {1, 10, 100, 1000, 10_000};

  final char[] docs; // lower 16 bits
  final char[] impacts;
  final int[] windows; // where the postings of each window start, and one more
  private final char[] ranked; // the impacts of RANKS
  private final int maxDoc;
  private volatile Blocks blocks;

  /** Takes the first {@code size} elements; impacts up to {@link #LARGEST}. */
  DecodedPostings(int[] docs, int[] impacts, int size, int maxDoc) {
    this.docs = new char[size];
    this.impacts = new char[size];
    this.maxDoc = maxDoc;
    windows = new int[(maxDoc - 1 >> WINDOW) + 2];
    for (int i = 0; i < size; i++) {
      this.docs[i] = (char) docs[i];
      this.impacts[i] = (char) impacts[i];
      windows[(docs[i] >> WINDOW) + 1]++;
    }
    for (int window = 1; window < windows.length; window++) {
      windows[window] += windows[window - 1];
    }
    ranked = rank();
  }

  private char[] rank() {
    char[] sorted = impacts.clone();
    Arrays.sort(sorted);
    char[] found = new char[RANKS.length];
    for (int i = 0; i < RANKS.length && RANKS[i] <= sorted.length; i++) {
      found[i] = sorted[sorted.length - RANKS[i]];
    }
    return found;
  }

  /** An impact that at least {@code k} documents reach; 0 if none is known. */
  int atLeast(int k) {
    for (int i = 0; i < RANKS.length; i++) {
      if (RANKS[i] >= k) {
        return ranked[i];
      }
    }
    return 0;
  }

  Blocks blocks() {
    Blocks found = blocks;
    if (found == null) {
      found = new Blocks();
      blocks = found;
    }
    return found;
  }

  /** An estimate, blocks included. */
  long bytes() {
    return 9L * docs.length + 4L * windows.length + 200;
  }

  /** Of each block of documents that has the term: where its postings start, and the largest impact among them. */
  final class Blocks {
    static final int SHIFT = 6; // of a document to its block of 64

    final int[] ids; // ascending
    final int[] starts; // and one more
    final char[] maxima;
    private final int[] dense; // by block: its place in ids, or -1; null if few blocks have the term

    private Blocks() {
      int[] foundIds = new int[docs.length];
      int[] foundStarts = new int[docs.length + 1];
      char[] foundMaxima = new char[docs.length];
      int count = 0;
      for (int window = 0; window + 1 < windows.length; window++) {
        for (int i = windows[window]; i < windows[window + 1]; i++) {
          int block = (window << WINDOW | docs[i]) >> SHIFT;
          if (count == 0 || foundIds[count - 1] != block) {
            foundIds[count] = block;
            foundStarts[count++] = i;
          }
          foundMaxima[count - 1] = (char) Math.max(foundMaxima[count - 1], impacts[i]);
        }
      }
      foundStarts[count] = docs.length;
      ids = Arrays.copyOf(foundIds, count);
      starts = Arrays.copyOf(foundStarts, count + 1);
      maxima = Arrays.copyOf(foundMaxima, count);
      int all = (maxDoc - 1 >> SHIFT) + 1;
      dense = all <= 8 * count ? new int[all] : null;
      if (dense != null) {
        Arrays.fill(dense, -1);
        for (int i = 0; i < count; i++) {
          dense[ids[i]] = i;
        }
      }
    }

    /** The place of a block in {@link #ids}, negative if the term is not in it. */
    int find(int block) {
      return dense != null ? dense[block] : Arrays.binarySearch(ids, block);
    }
  }
}
