package io.spladelucene;

import java.util.Arrays;

/**
 * The largest impact of a list in each block of 64 documents, and where the block's postings start. Of a list that many blocks
 * have, each block has its place; of another, those blocks that have it, which a bitmap with ranks finds.
 */
final class BlockMaxima {
  static final int SHIFT = 6; // of a document to its block
  static final int GROUP_SHIFT = 3; // of a block to its group
  static final int GROUP = 1 << GROUP_SHIFT;
  static final int IN_WINDOW = DecodedPostings.WINDOW - SHIFT; // of a block to its window
  private static final int SPARSE = 8; // fewer than one of so many blocks has the list

  final byte[] maxima; // unsigned; by block if dense, up to the end of the last group; else by place
  final int[] groupMaxima; // dense: of the blocks of each group; else null; of 32 bits, for such sums are vectorized
  private final int[] windows;
  private final char[] starts; // dense: of each block, in its window; else null
  private final int[] ids; // sparse, by place, ascending
  private final int[] places; // sparse: where the postings of each place start, and one more
  private final long[] bitmap; // sparse, by block
  private final int[] ranks; // sparse, by word of the bitmap: places before it

  /** Takes the maxima of all blocks. */
  private BlockMaxima(DecodedPostings postings, int blocks, byte[] maxima) {
    this.maxima = maxima;
    groupMaxima = new int[maxima.length >> GROUP_SHIFT];
    for (int block = 0; block < maxima.length; block++) {
      int group = block >> GROUP_SHIFT;
      groupMaxima[group] = Math.max(groupMaxima[group], maxima[block] & 0xFF);
    }
    windows = postings.windows;
    starts = new char[blocks];
    ids = null;
    places = null;
    bitmap = null;
    ranks = null;
    locate(postings.docs);
  }

  /** Takes those blocks that have the list. */
  private BlockMaxima(DecodedPostings postings, int blocks, int[] ids, int[] places, byte[] maxima) {
    this.maxima = maxima;
    groupMaxima = null;
    windows = postings.windows;
    starts = null;
    this.ids = ids;
    this.places = places;
    bitmap = new long[(blocks - 1 >> 6) + 1];
    ranks = new int[bitmap.length];
    mark();
  }

  static BlockMaxima of(DecodedPostings postings, int maxDoc) {
    int blocks = count(maxDoc);
    int[] ids = new int[Math.min(blocks, postings.size())];
    int[] places = new int[ids.length + 1];
    byte[] maxima = new byte[ids.length];
    int count = 0;
    for (int window = 0; window + 1 < postings.windows.length; window++) {
      for (int i = postings.windows[window]; i < postings.windows[window + 1]; i++) {
        int block = window << IN_WINDOW | postings.docs[i] >> SHIFT;
        if (count == 0 || ids[count - 1] != block) {
          ids[count] = block;
          places[count++] = i;
        }
        maxima[count - 1] = (byte) Math.max(maxima[count - 1] & 0xFF, postings.impacts[i] & 0xFF);
      }
    }
    places[count] = postings.size();
    if ((long) SPARSE * count < blocks) {
      return new BlockMaxima(
          postings, blocks, Arrays.copyOf(ids, count), Arrays.copyOf(places, count + 1), Arrays.copyOf(maxima, count));
    }
    byte[] all = new byte[groups(maxDoc) << GROUP_SHIFT];
    for (int place = 0; place < count; place++) {
      all[ids[place]] = maxima[place];
    }
    return dense(postings, maxDoc, all);
  }

  static BlockMaxima dense(DecodedPostings postings, int maxDoc, byte[] maxima) {
    return new BlockMaxima(postings, count(maxDoc), maxima);
  }

  private void locate(char[] docs) {
    for (int window = 0; window + 1 < windows.length; window++) {
      int block = window << IN_WINDOW;
      int base = windows[window];
      for (int i = base; i < windows[window + 1]; i++) {
        for (int its = window << IN_WINDOW | docs[i] >> SHIFT; block <= its; block++) {
          starts[block] = (char) (i - base);
        }
      }
      for (int end = Math.min(starts.length, window + 1 << IN_WINDOW); block < end; block++) {
        starts[block] = (char) (windows[window + 1] - base);
      }
    }
  }

  private void mark() {
    for (int id : ids) {
      bitmap[id >> 6] |= 1L << id;
    }
    for (int word = 1; word < ranks.length; word++) {
      ranks[word] = ranks[word - 1] + Long.bitCount(bitmap[word - 1]);
    }
  }

  /** Blocks of a leaf. */
  static int count(int maxDoc) {
    return (maxDoc - 1 >> SHIFT) + 1;
  }

  /** Groups of blocks of a leaf. */
  static int groups(int maxDoc) {
    return (count(maxDoc) - 1 >> GROUP_SHIFT) + 1;
  }

  /** The memory for a list of so many postings, at most. */
  static long bytes(int postings, int maxDoc) {
    int blocks = count(maxDoc);
    return (long) SPARSE * postings < blocks ? 9L * postings + blocks / 5 : 7L * blocks / 2;
  }

  boolean isDense() {
    return starts != null;
  }

  /** Adds the products of the maxima to the bounds of all blocks and groups, of a list that is not dense. */
  void addTo(int[] bounds, int[] groupBounds, int queryImpact) {
    int group = 0;
    int largest = 0;
    for (int place = 0; place < ids.length; place++) {
      int product = queryImpact * (maxima[place] & 0xFF);
      bounds[ids[place]] += product;
      if (ids[place] >> GROUP_SHIFT != group) {
        groupBounds[group] += largest;
        group = ids[place] >> GROUP_SHIFT;
        largest = 0;
      }
      largest = Math.max(largest, product);
    }
    groupBounds[group] += largest;
  }

  /** The largest impact in a block. */
  int maximum(int block) {
    if (starts != null) {
      return maxima[block] & 0xFF;
    }
    long word = bitmap[block >> 6];
    if ((word >>> block & 1) == 0) {
      return 0;
    }
    return maxima[ranks[block >> 6] + Long.bitCount(word & (1L << block) - 1)] & 0xFF;
  }

  /** Finds the postings of runs of blocks, none of them across windows: those of run i are from {@code from[i]} to {@code to[i]}. */
  void find(int[] firsts, int[] lasts, int runs, int[] from, int[] to) {
    for (int i = 0; i < runs; i++) {
      from[i] = starts != null ? denseStart(firsts[i]) : sparseStart(firsts[i]);
      to[i] = starts != null ? denseEnd(lasts[i]) : sparseStart(lasts[i] + 1);
    }
  }

  private int denseStart(int block) {
    return windows[block >> IN_WINDOW] + starts[block];
  }

  private int denseEnd(int block) {
    int next = block + 1;
    return next < starts.length && next % (1 << IN_WINDOW) != 0 ? denseStart(next) : windows[(block >> IN_WINDOW) + 1];
  }

  private int sparseStart(int block) {
    int word = block >> 6;
    return places[word == ranks.length ? ids.length : ranks[word] + Long.bitCount(bitmap[word] & (1L << block) - 1)];
  }
}
