package io.spladelucene.search;

import io.spladelucene.postings.BlockMaxima;
import io.spladelucene.postings.DecodedPostings;
import java.util.Arrays;

/**
 * Scores the documents of some blocks. Consecutive blocks form a run, for which the postings of a
 * list are found and added in one pass. The lists are added one after another, those that can
 * contribute most first. Blocks that can no longer have a hit are dropped in between.
 *
 * <p>A block has a slot, which decides where the sums of its documents are.
 */
final class BlockRuns {
  static final int BLOCK = 1 << BlockMaxima.SHIFT;
  private static final int WINDOW_MASK = (1 << BlockMaxima.IN_WINDOW) - 1;

  private int taken = 0; // the slot after the last one in use
  private final int[] blocks; // the blocks that were not dropped, ascending
  private final int[] slots; // by position in blocks
  private int size = 0; // the number of these blocks
  private final int[] firsts; // by run: its first block
  private final int[] lasts; // by run: its last block
  private final int[] starts; // by run: the position of its first sum
  private final int[] from; // by run: the position of its first posting in the current list
  private final int[] to; // by run: the position after its last posting
  private final int[] rest; // by slot: an upper bound of what the lists not yet added contribute
  private final int[] sums; // by slot and document
  private int runs = 0;
  private int touched; // keeps the JIT from removing reads whose only purpose is to fetch

  /** Allocates memory for a number of slots. */
  BlockRuns(int room) {
    blocks = new int[room];
    slots = new int[room];
    firsts = new int[room];
    lasts = new int[room];
    starts = new int[room];
    from = new int[room];
    to = new int[room];
    rest = new int[room];
    sums = new int[room * BLOCK];
  }

  /**
   * Takes a block, with the next slot.
   *
   * @param block greater than all that were taken
   * @param bound an upper bound of what the lists that will be added contribute to a document
   */
  void take(int block, int bound) {
    take(block, taken, bound);
  }

  /** Takes a block, with a slot greater than all that are in use. */
  void take(int block, int slot, int bound) {
    rest[slot] = bound;
    append(block, slot);
    taken = slot + 1;
  }

  private void append(int block, int slot) {
    int run = runs - 1;
    boolean continues =
        run >= 0
            && lasts[run] == block - 1
            && (block & WINDOW_MASK) != 0
            && slots[size - 1] == slot - 1;
    if (!continues) {
      firsts[++run] = block;
      starts[run] = slot << BlockMaxima.SHIFT;
      runs++;
    }
    lasts[run] = block;
    blocks[size] = block;
    slots[size++] = slot;
  }

  /** The number of blocks that were taken, if each has the next slot. */
  int taken() {
    return taken;
  }

  /** The last block that was taken. */
  int last() {
    return blocks[size - 1];
  }

  /** Adds the postings of a whole window. The slot of a block is its position in the window. */
  void addWindow(DecodedPostings list, int queryImpact, int window) {
    Sums.addWindow(list, queryImpact, window, sums);
  }

  /**
   * Adds the postings of the lists, and offers the documents whose sums reach the k-th score.
   *
   * @param first the first list to add
   * @param alpha blocks are dropped if this share of their bounds does not reach the k-th score
   */
  void score(QueryLists lists, int first, double alpha, TopHits top, Profile profile) {
    int next = first;
    for (int stop : lists.stops()) {
      if (next > 0 && stop > next) {
        drop(alpha, top.threshold());
      }
      for (; next < stop; next++) {
        add(lists.postings[next], lists.queryImpacts[next], profile);
        if (stop < lists.size) {
          lower(lists.postings[next].blocks(), lists.queryImpacts[next]);
        }
      }
    }
    collect(lists, top);
    top.tighten();
  }

  /** Removes all blocks, and sets the sums of the slots before {@code end} to 0. */
  void clear(int end) {
    Arrays.fill(sums, 0, end * BLOCK, 0);
    taken = 0;
    size = 0;
    runs = 0;
  }

  private void add(DecodedPostings list, int queryImpact, Profile profile) {
    list.blocks().find(firsts, lasts, runs, from, to);
    fetch(list);
    for (int run = 0; run < runs; run++) {
      int shift = starts[run] - (firsts[run] << BlockMaxima.SHIFT) % (1 << DecodedPostings.WINDOW);
      Sums.add(list.docs, list.impacts, queryImpact, from[run], to[run], shift, sums);
      profile.postingsScored += to[run] - from[run];
    }
  }

  /**
   * Reads the first posting of each run. The processor then fetches them from memory at the same
   * time, instead of one after another while they are added.
   */
  private void fetch(DecodedPostings list) {
    int read = 0;
    for (int run = 0; run < runs; run++) {
      int at = Math.min(from[run], list.docs.length - 1);
      read += list.docs[at] + list.impacts[at];
    }
    touched = read;
  }

  /** Subtracts the maxima of a list that was added from what the lists not yet added contribute. */
  private void lower(BlockMaxima list, int queryImpact) {
    for (int i = 0; i < size; i++) {
      rest[slots[i]] -= queryImpact * list.maximum(blocks[i]);
    }
  }

  /** Drops the blocks that can no longer have a hit. */
  private void drop(double alpha, long threshold) {
    int count = size;
    runs = 0;
    size = 0;
    for (int i = 0; i < count; i++) {
      int slot = slots[i];
      long least = (long) Math.ceil(threshold - alpha * rest[slot]);
      if (Sums.reach(sums, slot << BlockMaxima.SHIFT, BLOCK, least)) {
        append(blocks[i], slot);
      }
    }
  }

  private void collect(QueryLists lists, TopHits top) {
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
