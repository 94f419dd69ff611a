package io.spladelucene;

import java.util.Arrays;

/**
 * The k best hits seen so far: score descending, then docid ascending as bytes. Up to twice as many are gathered, then the
 * better half is selected: a few comparisons a hit, where a heap needs the logarithm of k.
 */
final class TopHits {
  private static final int ROOM = 1024; // at first

  private final DocidTable docids;
  private final int depth;
  private long threshold = 1;
  private long[] scores;
  private int[] docs;
  private int size = 0;

  TopHits(int depth, DocidTable docids) {
    this.docids = docids;
    this.depth = depth;
    scores = new long[(int) Math.min(ROOM, 2L * depth)];
    docs = new int[scores.length];
  }

  /** Hits wanted. */
  int depth() {
    return depth;
  }

  /** The least score that may still enter; a score equal to it enters if its docid comes first. */
  long threshold() {
    return threshold;
  }

  /** Tells that {@code depth} documents are known to reach a score, whether offered yet or not. */
  void raise(long score) {
    threshold = Math.max(threshold, score);
  }

  /** Takes a hit whose score reaches {@link #threshold}. */
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

  /** Brings the threshold up to date: the k-th best score so far. */
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

  /** Keeps the best hits only. */
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

  /** Puts the best hits in order, best first, and drops all others. */
  void finish() {
    tighten();
    sort(0, size);
  }

  int size() {
    return size;
  }

  long score(int rank) {
    return scores[rank];
  }

  int doc(int rank) {
    return docs[rank];
  }

  private void sort(int from, int to) {
    while (to - from > 16) {
      int middle = partition(from, to);
      if (middle - from < to - middle) { // the smaller part by recursion, so that the stack stays small
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

  /** Moves better hits before worse ones; returns where the worse start, neither part being empty. At least two hits. */
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
