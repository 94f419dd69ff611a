package io.spladelucene.index;

import java.util.Arrays;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.RecursiveAction;

/**
 * Orders documents by recursive graph bisection (Dhulipala et al., Compressing Graphs and Indexes
 * with Recursive Graph Bisection, KDD 2016; for inverted indexes Mackenzie et al., ECIR 2019), so
 * that documents that share terms are close to each other. Then the impacts of a term vary less
 * within a block of documents, and the bounds of block-max pruning are tighter.
 *
 * <p>A range of documents is split into two halves. Documents are swapped between them while that
 * lowers the estimated number of bits of the document gaps in the postings. Then each half is split
 * in the same way. The result does not depend on the number of threads.
 */
final class GraphBisection {
  private static final int SMALLEST = 32; // a range with so many documents is not split
  private static final int ITERATIONS = 12;
  private static final int SEQUENTIAL = 4096;
  private static final float[] LOG2 = new float[1 << 12];

  static {
    for (int i = 1; i < LOG2.length; i++) {
      LOG2[i] = (float) (Math.log(i) / Math.log(2));
    }
  }

  private final int[] starts;
  private final int[] terms;
  private final int termCount;
  private final long[] keys; // by position: the gain in the upper half, the document in the lower
  private final ConcurrentLinkedQueue<Scratch> spare = new ConcurrentLinkedQueue<>();

  private GraphBisection(int[] starts, int[] terms, int termCount) {
    this.starts = starts;
    this.terms = terms;
    this.termCount = termCount;
    keys = new long[starts.length - 1];
    for (int document = 0; document < keys.length; document++) {
      keys[document] = document;
    }
  }

  /**
   * Orders documents.
   *
   * @param starts by document, the position of its first term; one more element at the end
   * @param terms the terms of all documents, end to end
   * @param termCount greater than every term
   * @return the documents in their new order
   */
  static int[] order(int[] starts, int[] terms, int termCount, int threads) {
    GraphBisection order = new GraphBisection(starts, terms, termCount);
    ForkJoinPool pool = new ForkJoinPool(threads);
    try {
      pool.invoke(order.new Bisection(0, order.keys.length));
    } finally {
      pool.shutdown();
    }
    int[] documents = new int[order.keys.length];
    for (int i = 0; i < documents.length; i++) {
      documents[i] = (int) order.keys[i];
    }
    return documents;
  }

  private final class Bisection extends RecursiveAction {
    private static final long serialVersionUID = 1L;
    private final int from;
    private final int to;

    Bisection(int from, int to) {
      this.from = from;
      this.to = to;
    }

    @Override
    protected void compute() {
      if (to - from <= SMALLEST) {
        for (int i = from; i < to; i++) {
          keys[i] &= 0xFFFFFFFFL;
        }
        Arrays.sort(keys, from, to);
        return;
      }
      int middle = (from + to) >>> 1;
      Scratch scratch = spare.poll();
      if (scratch == null) {
        scratch = new Scratch(termCount);
      }
      split(middle, scratch);
      spare.add(scratch);
      Bisection left = new Bisection(from, middle);
      Bisection right = new Bisection(middle, to);
      if (to - from > SEQUENTIAL) {
        invokeAll(left, right);
      } else {
        left.compute();
        right.compute();
      }
    }

    private void split(int middle, Scratch scratch) {
      for (int iteration = 0; iteration < ITERATIONS; iteration++) {
        int touched = scratch.count(keys, from, middle, to, starts, terms);
        scratch.weigh(touched);
        float mostLeft = rank(from, middle, scratch.fromLeft);
        float leastRight = -rank(middle, to, scratch.fromRight, -1);
        scratch.forget(touched);
        if (mostLeft - leastRight <= iteration) { // the best swap gains next to nothing
          return;
        }
        select(middle);
      }
    }

    private float rank(int first, int last, float[] gains) {
      return rank(first, last, gains, 1);
    }

    /**
     * Sets the key of each document of a half to what it gains on the right side; returns the
     * largest product of {@code sign} and such a gain.
     */
    private float rank(int first, int last, float[] gains, int sign) {
      float most = Float.NEGATIVE_INFINITY;
      for (int i = first; i < last; i++) {
        int document = (int) keys[i];
        float sum = 0;
        for (int j = starts[document]; j < starts[document + 1]; j++) {
          sum += gains[terms[j]];
        }
        most = Math.max(most, sign * sum);
        keys[i] = (long) sortable(sum) << 32 | document;
      }
      return most;
    }

    /** Partitions the range so that the smaller half of the keys comes before the middle. */
    private void select(int middle) {
      int low = from;
      int high = to - 1;
      while (low < high) {
        long pivot = medianOfThree(keys[low], keys[(low + high) >>> 1], keys[high]);
        int i = low;
        int j = high;
        while (i <= j) {
          while (keys[i] < pivot) {
            i++;
          }
          while (keys[j] > pivot) {
            j--;
          }
          if (i <= j) {
            long key = keys[i];
            keys[i++] = keys[j];
            keys[j--] = key;
          }
        }
        if (middle <= j) {
          high = j;
        } else if (middle >= i) {
          low = i;
        } else {
          return;
        }
      }
    }
  }

  private static long medianOfThree(long a, long b, long c) {
    return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  }

  /** An int for each float, in the same order. */
  private static int sortable(float value) {
    int bits = Float.floatToIntBits(value);
    return bits ^ (bits >> 31 & 0x7FFFFFFF);
  }

  private static float log2(int value) {
    return value < LOG2.length ? LOG2[value] : (float) (Math.log(value) / Math.log(2));
  }

  /** What a split needs for each term. The counts are all zero between splits. */
  private static final class Scratch {
    final int[] left;
    final int[] right;
    final float[] fromLeft; // by term: what a document of the left half gains on the right side
    final float[] fromRight;
    final int[] touched;

    Scratch(int termCount) {
      left = new int[termCount];
      right = new int[termCount];
      fromLeft = new float[termCount];
      fromRight = new float[termCount];
      touched = new int[termCount];
    }

    /** Counts the documents with each term on either side; returns the number of terms. */
    int count(long[] keys, int from, int middle, int to, int[] starts, int[] terms) {
      int distinct = 0;
      for (int i = from; i < to; i++) {
        int[] side = i < middle ? left : right;
        int document = (int) keys[i];
        for (int j = starts[document]; j < starts[document + 1]; j++) {
          int term = terms[j];
          if (left[term] + right[term] == 0) {
            touched[distinct++] = term;
          }
          side[term]++;
        }
      }
      return distinct;
    }

    /** Computes the gains. A document itself is counted on neither side. */
    void weigh(int distinct) {
      for (int i = 0; i < distinct; i++) {
        int term = touched[i];
        fromLeft[term] = log2(right[term] + 1) - log2(Math.max(1, left[term]));
        fromRight[term] = log2(Math.max(1, right[term])) - log2(left[term] + 1);
      }
    }

    /** Sets the counts to zero. */
    void forget(int distinct) {
      for (int i = 0; i < distinct; i++) {
        left[touched[i]] = 0;
        right[touched[i]] = 0;
      }
    }
  }
}
