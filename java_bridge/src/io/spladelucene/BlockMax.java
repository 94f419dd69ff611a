package io.spladelucene;

import java.util.Arrays;

/**
 * Block-max pruning (arXiv 2405.01117): the largest impacts of a block of documents bound the scores in it. The blocks with
 * the largest bounds are scored first, which finds nearly the k-th best score; then, in runs of neighbours, those of the others
 * whose bounds reach it. Exact, unless it is told to approximate: a block whose bound equals that score is scored too, for its
 * documents may come first by docid. {@link BlockBounds} adds up the bounds.
 */
final class BlockMax {
  private static final int BLOCK = 1 << BlockMaxima.SHIFT;
  private static final int PROBES = 32; // blocks that are scored first, and those with nearly their bounds
  private static final int HITS_OF_PROBE = 8; // so many more hits wanted, one probe more
  private static final int PIECE = 256; // blocks whose sums stay in the processor's cache

  private final BlockBounds bounds = new BlockBounds();
  private final TopBuckets buckets = new TopBuckets();
  private int[] chosen = new int[0];
  private final int[] firsts = new int[PIECE]; // the first block of each run, and the last
  private final int[] lasts = new int[PIECE];
  private final int[] from = new int[PIECE]; // where a list's postings of each run start, and end
  private final int[] to = new int[PIECE];
  private final int[] starts = new int[PIECE]; // of the sums of each run
  private final int[] blockOf = new int[PIECE]; // the blocks of all runs
  private final int[] rest = new int[PIECE]; // of their bounds
  private final int[] sums = new int[PIECE * BLOCK];
  private int touched; // keeps reads that only fetch from being optimized away

  /**
   * Searches a leaf.
   *
   * @param mayGiveUp stop if {@link TermAtATime} is likely to be faster
   * @return whether the leaf is searched; else some of its hits are offered already
   */
  boolean search(QueryLists lists, TopHits top, Approximation approximation, boolean mayGiveUp, Profile profile) {
    int blocks = BlockMaxima.count(lists.maxDoc);
    if (chosen.length < blocks) {
      chosen = new int[blocks];
    }
    profile.blocks += blocks;
    lists.sortByBound();
    bounds.begin(lists);
    int budget = approximation.blocks() == 0 ? Integer.MAX_VALUE : approximation.blocks();
    int probes = Math.min(budget, PROBES + top.depth() / HITS_OF_PROBE);
    long threshold = approximation.bound(top.threshold());
    bounds.refineLargest(lists, probes, threshold);
    int count = bounds.choose(lists, threshold, chosen);
    profile.bounded();
    int cut = count > probes ? buckets.leastOfLargest(bounds.ofBlocks, chosen, count, probes) : 0;
    int scored = score(lists, count, cut, budget, top, approximation, profile);
    profile.probed();
    threshold = approximation.bound(top.threshold());
    bounds.refine(lists, threshold);
    count = bounds.choose(lists, threshold, chosen);
    profile.bounded();
    boolean isWorthwhile = !mayGiveUp || CostModel.blockMax(count, lists) <= CostModel.termAtATime(lists);
    if (isWorthwhile && budget > scored) {
      cut = count > budget - scored ? buckets.leastOfLargest(bounds.ofBlocks, chosen, count, budget - scored) : 0;
      score(lists, count, cut, budget - scored, top, approximation, profile);
    }
    bounds.end();
    return isWorthwhile;
  }

  /** Scores the chosen blocks whose bounds reach a cut and still the k-th score, up to a limit; returns their number. */
  private int score(QueryLists lists, int count, int cut, int limit, TopHits top, Approximation approximation,
      Profile profile) {
    int[] bound = bounds.ofBlocks;
    long least = Math.max(cut, approximation.bound(top.threshold()));
    int runs = 0;
    int size = 0; // blocks of the runs
    int all = 0;
    for (int i = 0; i < count && all + size < limit; i++) {
      int block = chosen[i];
      if (bound[block] >= least) {
        if (runs > 0 && all + size + 2 <= limit && continues(lasts[runs - 1], block)) {
          size += block - lasts[runs - 1];
          bound[block - 1] = 0;
        } else {
          firsts[runs++] = block;
          size++;
        }
        lasts[runs - 1] = block;
        bound[block] = 0;
        if (size >= PIECE - 1) {
          score(lists, runs, top, approximation, profile);
          least = Math.max(cut, approximation.bound(top.threshold()));
          all += size;
          runs = 0;
          size = 0;
        }
      }
    }
    score(lists, runs, top, approximation, profile);
    all += size;
    profile.blocksScored += all;
    return all;
  }

  /**
   * Whether a run that ends in a block goes on with another: a gap of one block costs less than a new run, if it is not scored
   * already, and its bound is known, being of the same group.
   */
  private boolean continues(int last, int block) {
    if (last >> BlockMaxima.IN_WINDOW != block >> BlockMaxima.IN_WINDOW) {
      return false;
    }
    boolean isGap = block - last == 2 && bounds.ofBlocks[block - 1] > 0;
    return block - last == 1 || isGap && last >> BlockMaxima.GROUP_SHIFT == block >> BlockMaxima.GROUP_SHIFT;
  }

  /**
   * Scores the documents of runs of blocks. After the lists that make up most of the bounds, a block in which no document's sum
   * so far can be lifted to the k-th score by the rest of its bound is dropped.
   */
  private void score(QueryLists lists, int runs, TopHits top, Approximation approximation, Profile profile) {
    int size = 0;
    for (int run = 0; run < runs; run++) {
      starts[run] = size << BlockMaxima.SHIFT;
      size += lasts[run] - firsts[run] + 1;
    }
    for (int i = 0; i < lists.heavy; i++) {
      add(lists.postings[i], lists.queryImpacts[i], runs, profile);
    }
    int left = runs;
    if (lists.heavy < lists.size) {
      left = drop(lists, runs, approximation.alpha(), top.threshold());
      for (int i = lists.heavy; i < lists.size; i++) {
        add(lists.postings[i], lists.queryImpacts[i], left, profile);
      }
    }
    collect(lists, left, top);
    Arrays.fill(sums, 0, size * BLOCK, 0);
    top.tighten();
  }

  private void add(DecodedPostings list, int queryImpact, int runs, Profile profile) {
    list.blocks().find(firsts, lasts, runs, from, to);
    fetch(list, runs);
    for (int run = 0; run < runs; run++) {
      int shift = starts[run] - (firsts[run] << BlockMaxima.SHIFT) % (1 << DecodedPostings.WINDOW);
      add(list.docs, list.impacts, queryImpact, from[run], to[run], shift, sums);
      profile.postingsScored += to[run] - from[run];
    }
  }

  /** Keeps the parts of runs that may still hold a hit; returns the number of runs then. */
  private int drop(QueryLists lists, int runs, double alpha, long threshold) {
    int blocks = 0;
    for (int run = 0; run < runs; run++) {
      for (int block = firsts[run]; block <= lasts[run]; block++) {
        blockOf[blocks++] = block;
      }
    }
    Arrays.fill(rest, 0, blocks, 0);
    for (int i = lists.heavy; i < lists.size; i++) {
      BlockMaxima list = lists.postings[i].blocks();
      int queryImpact = lists.queryImpacts[i];
      for (int j = 0; j < blocks; j++) {
        rest[j] += queryImpact * list.maximum(blockOf[j]);
      }
    }
    int left = 0;
    int last = -1; // place of the block that was kept last
    for (int j = 0; j < blocks; j++) {
      int largest = 0;
      for (int k = j * BLOCK; k < (j + 1) * BLOCK; k++) {
        largest = Math.max(largest, sums[k]);
      }
      if (largest + alpha * rest[j] >= threshold) {
        boolean continues = last == j - 1 && last >= 0 && blockOf[j] == blockOf[last] + 1
            && blockOf[j] >> BlockMaxima.IN_WINDOW == blockOf[last] >> BlockMaxima.IN_WINDOW;
        if (!continues) {
          firsts[left] = blockOf[j];
          starts[left++] = j * BLOCK;
        }
        lasts[left - 1] = blockOf[j];
        last = j;
      }
    }
    return left;
  }

  /** Reads where each run's postings start, so that the memory is asked for all of them before the first is waited for. */
  private void fetch(DecodedPostings list, int runs) {
    int read = 0;
    for (int run = 0; run < runs; run++) {
      int at = Math.min(from[run], list.docs.length - 1);
      read += list.docs[at] + list.impacts[at];
    }
    touched = read;
  }

  private static void add(char[] docs, byte[] impacts, int queryImpact, int from, int to, int shift, int[] sums) {
    for (int i = from; i < to; i++) {
      sums[docs[i] + shift] += queryImpact * (impacts[i] & 0xFF);
    }
  }

  private void collect(QueryLists lists, int runs, TopHits top) {
    long threshold = top.threshold();
    for (int run = 0; run < runs; run++) {
      int at = starts[run];
      int end = lasts[run] + 1 << BlockMaxima.SHIFT;
      for (int doc = firsts[run] << BlockMaxima.SHIFT; doc < end; doc++, at++) {
        if (sums[at] >= threshold && lists.accepts(doc)) {
          top.offer(sums[at], lists.docBase + doc);
          threshold = top.threshold();
        }
      }
    }
  }
}
