package io.spladelucene;

import java.util.Arrays;

/**
 * Block-max pruning (arXiv 2405.01117): the largest impacts of a block of documents bound the scores in it; blocks are
 * scored from the largest bound down, until no bound reaches the k-th best score. Exact: a block whose bound equals that
 * score is still scored, for its documents may come first by docid.
 */
final class BlockMax {
  private static final int SHIFT = DecodedPostings.Blocks.SHIFT;
  private static final int BLOCK = 1 << SHIFT;
  private static final int BUCKETS = 1 << 10;
  private static final int PROBES = 20; // blocks after which it is told whether the rest pays
  // Postings a block left to score, below which it gives up: a block takes as long as some 700 postings of TermAtATime,
  // and the more blocks are left, the less their bounds tell.
  private static final int POSTINGS_PER_BLOCK = 5000;

  private int[] bounds = new int[0];
  private int[] order = new int[0];
  private final int[] bucketEnds = new int[BUCKETS + 1];
  private final int[] sums = new int[BLOCK];

  /**
   * Searches a leaf.
   *
   * @param floor a score that enough documents are known to reach; what is below it is not offered
   * @param mayGiveUp stop if {@link TermAtATime} is likely to be faster
   * @return whether the leaf is searched; else some of its hits are offered already
   */
  boolean search(QueryLists lists, long floor, TopHits top, boolean mayGiveUp) {
    int blocks = (lists.maxDoc - 1 >> SHIFT) + 1;
    if (bounds.length < blocks) {
      bounds = new int[blocks];
      order = new int[blocks];
    }
    addBounds(lists);
    int largest = 0;
    for (int block = 0; block < blocks; block++) {
      largest = Math.max(largest, bounds[block]);
    }
    int shift = Math.max(0, 32 - Integer.numberOfLeadingZeros(largest) - 10);
    sort(blocks, shift, Math.max(floor, top.threshold()));
    boolean isDone = visit(lists, shift, floor, top, mayGiveUp);
    Arrays.fill(bounds, 0, blocks, 0);
    return isDone;
  }

  private void addBounds(QueryLists lists) {
    for (int i = 0; i < lists.size; i++) {
      add(lists.postings[i].blocks(), lists.queryImpacts[i], bounds);
    }
  }

  private static void add(DecodedPostings.Blocks blocks, int queryImpact, int[] bounds) {
    int[] ids = blocks.ids;
    char[] maxima = blocks.maxima;
    for (int i = 0; i < ids.length; i++) {
      bounds[ids[i]] += queryImpact * maxima[i];
    }
  }

  /** Counting sort of the blocks that may hold a hit, by the leading bits of their bounds, largest first. */
  private void sort(int blocks, int shift, long floor) {
    Arrays.fill(bucketEnds, 0);
    for (int block = 0; block < blocks; block++) {
      if (bounds[block] >= floor) {
        bucketEnds[BUCKETS - 1 - (bounds[block] >>> shift)]++;
      }
    }
    int end = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
      int count = bucketEnds[bucket];
      bucketEnds[bucket] = end;
      end += count;
    }
    bucketEnds[BUCKETS] = end;
    for (int block = 0; block < blocks; block++) {
      if (bounds[block] >= floor) {
        order[bucketEnds[BUCKETS - 1 - (bounds[block] >>> shift)]++] = block;
      }
    }
  }

  private boolean visit(QueryLists lists, int shift, long floor, TopHits top, boolean mayGiveUp) {
    int candidates = bucketEnds[BUCKETS];
    int visited = 0;
    for (int i = 0, bucket = 0; i < candidates; i++) {
      while (bucketEnds[bucket] <= i) {
        bucket++;
      }
      long threshold = Math.max(floor, top.threshold());
      if (((long) (BUCKETS - bucket) << shift) <= threshold) { // above all bounds of the bucket
        return true;
      }
      if (visited++ == PROBES && mayGiveUp && (long) blocksAbove(threshold, shift, i) * POSTINGS_PER_BLOCK > lists.total()) {
        return false;
      }
      if (bounds[order[i]] >= threshold) {
        score(lists, order[i], floor, top);
      }
    }
    return true;
  }

  /** The blocks from a place in the order on whose bounds may reach a score. */
  private int blocksAbove(long score, int shift, int from) {
    int bucket = BUCKETS - 1 - (int) Math.min(BUCKETS - 1, score >>> shift);
    return Math.max(0, bucketEnds[bucket] - from);
  }

  /** Scores the documents of a block. */
  private void score(QueryLists lists, int block, long floor, TopHits top) {
    for (int i = 0; i < lists.size; i++) {
      DecodedPostings list = lists.postings[i];
      DecodedPostings.Blocks blocks = list.blocks();
      int place = blocks.find(block);
      if (place >= 0) {
        int end = blocks.starts[place + 1];
        int queryImpact = lists.queryImpacts[i];
        for (int j = blocks.starts[place]; j < end; j++) {
          sums[list.docs[j] & BLOCK - 1] += queryImpact * list.impacts[j];
        }
      }
    }
    int first = block << SHIFT;
    long threshold = Math.max(floor, top.threshold());
    for (int i = 0; i < BLOCK; i++) {
      if (sums[i] >= threshold && (lists.live == null || lists.live.get(first + i))) {
        top.offer(sums[i], lists.docBase + first + i);
        threshold = Math.max(floor, top.threshold());
      }
    }
    Arrays.fill(sums, 0);
  }
}
