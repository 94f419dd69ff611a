package io.spladelucene.search;

import io.spladelucene.index.DocidTable;
import io.spladelucene.wire.RankedHits;
import java.util.Arrays;

/**
 * The best k hits so far. A hit is better if its score is higher or, with equal scores, if its
 * docid is smaller as bytes.
 *
 * <p>Up to 2k hits are collected before the best k are selected, which takes a constant number of
 * comparisons for each hit, where a heap takes log k.
 */
final class TopHits implements RankedHits {
  private static final int ROOM = 1024; // initial capacity

  private final DocidTable docids;
  private final int depth;
  private long threshold = 1;
  private long[] scores;
  private int[] docs;
  private int size = 0;

  /** No hits yet; the best {@code depth} are wanted. */
  TopHits(int depth, DocidTable docids) {
    this.docids = docids;
    this.depth = depth;
    scores = new long[(int) Math.min(ROOM, 2L * depth)];
    docs = new int[scores.length];
  }

  /** The number of hits that are wanted: k. */
  int depth() {
    return depth;
  }

  /**
   * The smallest score that can still be among the best k. A hit with exactly this score is, if its
   * docid is small enough.
   */
  long threshold() {
    return threshold;
  }

  /** Raises the threshold: at least k documents, offered or not, reach this score. */
  void raise(long score) {
    threshold = Math.max(threshold, score);
  }

  /** Adds a hit. Its score must reach the {@link #threshold}. */
  void offer(long score, int doc) {
    scores[size] = score;
    docs[size++] = doc;
    if (size == scores.length) {
      makeRoom();
    }
    if (size == depth) {
      raise(leastScore());
    }
  }

  /** Sets the threshold to the k-th score so far, if there are more than k hits. */
  void tighten() {
    if (size > depth) {
      select();
    }
  }

  private void makeRoom() {
    if (size < 2L * depth) {
      int room = (int) Math.min(Math.min(2L * size, 2L * depth), Integer.MAX_VALUE - 8);
      scores = Arrays.copyOf(scores, room);
      docs = Arrays.copyOf(docs, room);
    } else {
      select();
    }
  }

  private long leastScore() {
    long least = Long.MAX_VALUE;
    for (int i = 0; i < size; i++) {
      least = Math.min(least, scores[i]);
    }
    return least;
  }

  /** Keeps the best k hits. */
  private void select() {
    int from = 0;
    int to = size;
    while (to - from > 1) {
      int middle = partition(from, to);
      if (middle < depth) {
        from = middle;
      } else {
        to = middle;
      }
    }
    size = depth;
    raise(leastScore());
  }

  /** Keeps the best k hits and sorts them, the best first. */
  void finish() {
    tighten();
    sort(0, size);
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public long score(int rank) {
    return scores[rank];
  }

  @Override
  public int luceneDocid(int rank) {
    return docs[rank];
  }

  private void sort(int from, int to) {
    while (to - from > 16) {
      int middle = partition(from, to);
      if (middle - from < to - middle) { // recursion for the smaller part keeps the stack small
        sort(from, middle);
        from = middle;
      } else {
        sort(middle, to);
        to = middle;
      }
    }
    for (int i = from + 1; i < to; i++) {
      for (int j = i; j > from && isBefore(scores[j], docs[j], scores[j - 1], docs[j - 1]); j--) {
        swap(j, j - 1);
      }
    }
  }

  /**
   * Moves better hits of a range of at least two before worse ones.
   *
   * @return the start of the worse ones; neither part is empty
   */
  private int partition(int from, int to) {
    int pivot = medianOf(from, from + to >>> 1, to - 1);
    long score = scores[pivot];
    int doc = docs[pivot];
    int i = from - 1;
    int j = to;
    while (true) {
      do {
        i++;
      } while (isBefore(scores[i], docs[i], score, doc));
      do {
        j--;
      } while (isBefore(score, doc, scores[j], docs[j]));
      if (i >= j) {
        return i > from ? i : i + 1;
      }
      swap(i, j);
    }
  }

  private int medianOf(int a, int b, int c) {
    if (isBefore(scores[a], docs[a], scores[b], docs[b])) {
      if (isBefore(scores[b], docs[b], scores[c], docs[c])) {
        return b;
      }
      return isBefore(scores[a], docs[a], scores[c], docs[c]) ? c : a;
    }
    if (isBefore(scores[a], docs[a], scores[c], docs[c])) {
      return a;
    }
    return isBefore(scores[b], docs[b], scores[c], docs[c]) ? c : b;
  }

  private boolean isBefore(long score, int doc, long otherScore, int otherDoc) {
    return score != otherScore ? score > otherScore : docids.compare(doc, otherDoc) < 0;
  }

  private void swap(int i, int j) {
    long score = scores[i];
    scores[i] = scores[j];
    scores[j] = score;
    int doc = docs[i];
    docs[i] = docs[j];
    docs[j] = doc;
  }
}
