package io.spladelucene;

import java.util.Arrays;

/**
 * Block-max pruning (arXiv 2405.01117): the largest impacts of a block of documents bound the scores in it. The blocks with
 * the largest bounds are scored first, which finds nearly the k-th best score; then those of the others whose bounds reach
 * it, each term's postings in turn. Exact: a block whose bound equals that score is scored too, for its documents may come
 * first by docid.
 */
final class BlockMax {
  private static final int SHIFT = DecodedPostings.Blocks.SHIFT;
  private static final int BLOCK = 1 << SHIFT;
  private static final int WINDOW_BLOCKS = 1 << DecodedPostings.WINDOW - SHIFT;
  private static final int PROBES = 32; // blocks that are scored first, and those with nearly their bounds
  private static final int BUCKETS = 1 << 10;
  private static final double SHARE = 0.5; // of the blocks: with more left to score, it gives up

  private int[] bounds = new int[0];
  private int[] chosen = new int[0];
  private final int[] bucketSizes = new int[BUCKETS];
  private final int[] sums = new int[1 << DecodedPostings.WINDOW];

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
      chosen = new int[blocks];
    }
    for (int i = 0; i < lists.size; i++) {
      add(lists.postings[i].blocks(), lists.queryImpacts[i], bounds);
    }
    int probed = choose(blocks, Math.max(leastOfLargest(blocks, PROBES), Math.max(floor, top.threshold())));
    score(lists, probed, floor, top);
    for (int i = 0; i < probed; i++) {
      bounds[chosen[i]] = 0;
    }
    int left = choose(blocks, Math.max(floor, top.threshold()));
    boolean isWorthwhile = !mayGiveUp || left <= SHARE * blocks;
    if (isWorthwhile) {
      score(lists, left, floor, top);
    }
    Arrays.fill(bounds, 0, blocks, 0);
    return isWorthwhile;
  }

  private static void add(DecodedPostings.Blocks blocks, int queryImpact, int[] bounds) {
    int[] ids = blocks.ids;
    char[] maxima = blocks.maxima;
    for (int i = 0; i < ids.length; i++) {
      bounds[ids[i]] += queryImpact * maxima[i];
    }
  }

  /** A bound that at least {@code count} blocks reach, and not many more; 0 if there are fewer blocks. */
  private int leastOfLargest(int blocks, int count) {
    int largest = 0;
    for (int block = 0; block < blocks; block++) {
      largest = Math.max(largest, bounds[block]);
    }
    int shift = Math.max(0, 22 - Integer.numberOfLeadingZeros(largest)); // the ten leading bits are a bucket
    Arrays.fill(bucketSizes, 0);
    for (int block = 0; block < blocks; block++) {
      bucketSizes[bounds[block] >>> shift]++;
    }
    int bucket = BUCKETS;
    for (int reached = 0; reached < count && bucket > 0; ) {
      reached += bucketSizes[--bucket];
    }
    return bucket << shift;
  }

  /** Puts the blocks whose bounds reach a score into {@link #chosen}, ascending; returns their number. */
  private int choose(int blocks, long score) {
    int count = 0;
    for (int block = 0; block < blocks; block++) {
      if (bounds[block] >= score) {
        chosen[count++] = block;
      }
    }
    return count;
  }

  /** Scores the documents of the first blocks of {@link #chosen}. */
  private void score(QueryLists lists, int count, long floor, TopHits top) {
    for (int from = 0, to; from < count; from = to) {
      int window = chosen[from] / WINDOW_BLOCKS;
      to = from;
      while (to < count && chosen[to] / WINDOW_BLOCKS == window) {
        to++;
      }
      for (int i = 0; i < lists.size; i++) {
        add(lists.postings[i], lists.queryImpacts[i], from, to);
      }
      collect(lists, from, to, floor, top);
    }
  }

  private void add(DecodedPostings list, int queryImpact, int from, int to) {
    DecodedPostings.Blocks blocks = list.blocks();
    char[] docs = list.docs;
    char[] impacts = list.impacts;
    for (int i = from; i < to; i++) {
      int place = blocks.find(chosen[i]);
      if (place >= 0) {
        int end = blocks.starts[place + 1];
        for (int j = blocks.starts[place]; j < end; j++) {
          sums[docs[j]] += queryImpact * impacts[j];
        }
      }
    }
  }

  private void collect(QueryLists lists, int from, int to, long floor, TopHits top) {
    long threshold = Math.max(floor, top.threshold());
    for (int i = from; i < to; i++) {
      int first = chosen[i] % WINDOW_BLOCKS << SHIFT;
      int base = (chosen[i] << SHIFT) - first;
      for (int j = first; j < first + BLOCK; j++) {
        if (sums[j] >= threshold && (lists.live == null || lists.live.get(base + j))) {
          top.offer(sums[j], lists.docBase + base + j);
          threshold = Math.max(floor, top.threshold());
        }
      }
      Arrays.fill(sums, first, first + BLOCK, 0);
    }
  }
}
