package io.spladelucene;

/** The k best hits seen so far: score descending, then docid ascending as bytes. A binary heap, the worst on top. */
final class TopHits {
  private final DocidTable docids;
  private final long[] scores;
  private final int[] docs;
  private int size = 0;

  TopHits(int k, DocidTable docids) {
    this.docids = docids;
    scores = new long[k];
    docs = new int[k];
  }

  /** The least score that may still enter; a score equal to it enters if its docid comes first. */
  long threshold() {
    return size < scores.length ? 1 : scores[0];
  }

  void offer(long score, int doc) {
    if (size < scores.length) {
      int hole = size++;
      while (hole > 0 && isWorse(score, doc, (hole - 1) >>> 1)) {
        move((hole - 1) >>> 1, hole);
        hole = (hole - 1) >>> 1;
      }
      scores[hole] = score;
      docs[hole] = doc;
    } else if (!isWorse(score, doc, 0)) {
      sink(score, doc);
    }
  }

  /** Takes the worst hit from the heap; its score is returned and its document left in {@link #lastDoc}. */
  long removeWorst() {
    long score = scores[0];
    lastDoc = docs[0];
    size--;
    if (size > 0) {
      sink(scores[size], docs[size]);
    }
    return score;
  }

  int lastDoc;

  /** Drops the hits from a document on. */
  void forgetFrom(int doc) {
    int found = size;
    size = 0;
    for (int i = 0; i < found; i++) {
      if (docs[i] < doc) {
        offer(scores[i], docs[i]);
      }
    }
  }

  int size() {
    return size;
  }

  private void sink(long score, int doc) {
    int hole = 0;
    while (true) {
      int child = 2 * hole + 1;
      if (child >= size) {
        break;
      }
      if (child + 1 < size && isWorse(scores[child + 1], docs[child + 1], child)) {
        child++;
      }
      if (isWorse(score, doc, child)) {
        break;
      }
      move(child, hole);
      hole = child;
    }
    scores[hole] = score;
    docs[hole] = doc;
  }

  private boolean isWorse(long score, int doc, int than) {
    return score != scores[than] ? score < scores[than] : docids.compare(doc, docs[than]) > 0;
  }

  private void move(int from, int to) {
    scores[to] = scores[from];
    docs[to] = docs[from];
  }
}
