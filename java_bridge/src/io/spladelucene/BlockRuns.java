package io.spladelucene;

import java.util.Arrays;

/**
 * Blocks whose documents are scored together, as runs of neighbours: the sums of their documents so far, and what the lists
 * that are still to come may add. Lists are added one after the other, those that may add most first; in between, blocks that
 * cannot hold a hit any more are dropped.
 */
final class BlockRuns {
  static final int BLOCK = 1 << BlockMaxima.SHIFT;
  private static final int WINDOW_MASK = (1 << BlockMaxima.IN_WINDOW) - 1;

  private int taken = 0; // places of blocks
  private final int[] blocks; // those that are not dropped, ascending, and the place of each
  private final int[] places;
  private int size = 0;
  private final int[] firsts; // the first block of each run, and the last
  private final int[] lasts;
  private final int[] starts; // of the sums of each run
  private final int[] from; // where a list's postings of each run start, and end
  private final int[] to;
  private final int[] rest; // by place of a block: what the lists to come add to a document at most
  private final int[] sums; // by place of a block, and document
  private int runs = 0;
  private int touched; // keeps reads that only fetch from being optimized away

  /** Room for so many blocks. */
  BlockRuns(int room) {
    blocks = new int[room];
    places = new int[room];
    firsts = new int[room];
    lasts = new int[room];
    starts = new int[room];
    from = new int[room];
    to = new int[room];
    rest = new int[room];
    sums = new int[room * BLOCK];
  }

  /** Takes in a block behind all others; {@code bound} is what the lists add at most, or those that are still to come. */
  void take(int block, int bound) {
    take(block, taken, bound);
  }

  /** Takes in a block, with its sums at a place behind those of all others. */
  void take(int block, int place, int bound) {
    rest[place] = bound;
    append(block, place);
    taken = place + 1;
  }

  private void append(int block, int place) {
    int run = runs - 1;
    boolean continues = run >= 0 && lasts[run] == block - 1 && (block & WINDOW_MASK) != 0 && places[size - 1] == place - 1;
    if (!continues) {
      firsts[++run] = block;
      starts[run] = place << BlockMaxima.SHIFT;
      runs++;
    }
    lasts[run] = block;
    blocks[size] = block;
    places[size++] = place;
  }

  /** Blocks taken in, where each has the next place. */
  int taken() {
    return taken;
  }

  /** The last of them. */
  int last() {
    return blocks[size - 1];
  }

  /** Adds a list's postings of a whole window, to sums at the blocks' places in it. */
  void addWindow(DecodedPostings list, int queryImpact, int window) {
    Sums.addWindow(list, queryImpact, window, sums);
  }

  /** Adds the lists from one on, and offers the documents that reach the k-th score. */
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

  /** Forgets the blocks; sums before a place are 0 again. */
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

  /** Reads where each run's postings start, so that the memory is asked for all of them before the first is waited for. */
  private void fetch(DecodedPostings list) {
    int read = 0;
    for (int run = 0; run < runs; run++) {
      int at = Math.min(from[run], list.docs.length - 1);
      read += list.docs[at] + list.impacts[at];
    }
    touched = read;
  }

  private void lower(BlockMaxima list, int queryImpact) {
    for (int i = 0; i < size; i++) {
      rest[places[i]] -= queryImpact * list.maximum(blocks[i]);
    }
  }

  /** Keeps the blocks that may still hold a hit. */
  private void drop(double alpha, long threshold) {
    int count = size;
    runs = 0;
    size = 0;
    for (int i = 0; i < count; i++) {
      int place = places[i];
      if (Sums.reach(sums, place << BlockMaxima.SHIFT, BLOCK, (long) Math.ceil(threshold - alpha * rest[place]))) {
        append(blocks[i], place);
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
