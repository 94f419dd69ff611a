package io.spladelucene.postings;

import java.util.Arrays;

/**
 * The largest impact of a list in each block of 64 documents, and the position of the block's first
 * posting. Eight blocks are a group.
 *
 * <p>There are two representations. If at least one block in eight has a posting of the list, it is
 * dense: the arrays have an element for each block. Otherwise it is sparse: they have an element
 * for each block with a posting, and a bitmap with ranks finds it.
 */
public final class BlockMaxima {
  /** A document's block is {@code doc >> SHIFT}. */
  public static final int SHIFT = 6;

  /** A block's group is {@code block >> GROUP_SHIFT}. */
  public static final int GROUP_SHIFT = 3;

  /** The number of blocks of a group. */
  public static final int GROUP = 1 << GROUP_SHIFT;

  /** A block's window is {@code block >> IN_WINDOW}. */
  public static final int IN_WINDOW = DecodedPostings.WINDOW - SHIFT;

  private static final int SPARSE = 8; // sparse if fewer than one block in so many has a posting

  /**
   * The maxima, unsigned. Dense: by block, up to the end of the last group. Sparse: by entry.
   * Nobody writes to them.
   */
  public final byte[] maxima;

  /**
   * Dense: by group, the largest of its blocks' maxima. Sparse: {@code null}. Of 32 bits, because
   * the JIT vectorizes sums of products of such elements only.
   */
  public final int[] groupMaxima;

  private final int[] windows;
  private final char[] starts; // dense: by block, its first posting within its window; else null
  private final int[] ids; // sparse: by entry, the block; ascending
  private final int[] firstPostings; // sparse: by entry, its first posting; one more at the end
  private final long[] bitmap; // sparse: by block, whether it has an entry
  private final int[] ranks; // sparse: by word of the bitmap, the number of entries before it

  /** A dense representation of the maxima of all blocks. */
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
    firstPostings = null;
    bitmap = null;
    ranks = null;
    locate(postings.docs);
  }

  /** A sparse representation of the blocks that have postings. */
  private BlockMaxima(
      DecodedPostings postings, int blocks, int[] ids, int[] firstPostings, byte[] maxima) {
    this.maxima = maxima;
    groupMaxima = null;
    windows = postings.windows;
    starts = null;
    this.ids = ids;
    this.firstPostings = firstPostings;
    bitmap = new long[(blocks - 1 >> 6) + 1];
    ranks = new int[bitmap.length];
    mark();
  }

  /** Finds the maxima of a list. */
  static BlockMaxima of(DecodedPostings postings, int maxDoc) {
    int blocks = count(maxDoc);
    int[] ids = new int[Math.min(blocks, postings.size())];
    int[] firstPostings = new int[ids.length + 1];
    byte[] maxima = new byte[ids.length];
    int count = 0;
    for (int window = 0; window + 1 < postings.windows.length; window++) {
      for (int i = postings.windows[window]; i < postings.windows[window + 1]; i++) {
        int block = window << IN_WINDOW | postings.docs[i] >> SHIFT;
        if (count == 0 || ids[count - 1] != block) {
          ids[count] = block;
          firstPostings[count++] = i;
        }
        maxima[count - 1] = (byte) Math.max(maxima[count - 1] & 0xFF, postings.impacts[i] & 0xFF);
      }
    }
    firstPostings[count] = postings.size();
    if ((long) SPARSE * count < blocks) {
      return new BlockMaxima(
          postings,
          blocks,
          Arrays.copyOf(ids, count),
          Arrays.copyOf(firstPostings, count + 1),
          Arrays.copyOf(maxima, count));
    }
    byte[] all = new byte[groups(maxDoc) << GROUP_SHIFT];
    for (int entry = 0; entry < count; entry++) {
      all[ids[entry]] = maxima[entry];
    }
    return dense(postings, maxDoc, all);
  }

  /** A dense representation whose maxima are known: by block, up to the end of the last group. */
  static BlockMaxima dense(DecodedPostings postings, int maxDoc, byte[] maxima) {
    return new BlockMaxima(postings, count(maxDoc), maxima);
  }

  private void locate(char[] docs) {
    for (int window = 0; window + 1 < windows.length; window++) {
      int block = window << IN_WINDOW;
      int base = windows[window];
      for (int i = base; i < windows[window + 1]; i++) {
        for (int last = window << IN_WINDOW | docs[i] >> SHIFT; block <= last; block++) {
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

  /** The number of blocks of a segment. */
  public static int count(int maxDoc) {
    return (maxDoc - 1 >> SHIFT) + 1;
  }

  /** The number of groups of a segment. */
  public static int groups(int maxDoc) {
    return (count(maxDoc) - 1 >> GROUP_SHIFT) + 1;
  }

  /** An upper estimate of the memory for a list with so many postings. */
  static long bytes(int postings, int maxDoc) {
    int blocks = count(maxDoc);
    return (long) SPARSE * postings < blocks ? 9L * postings + blocks / 5 : 7L * blocks / 2;
  }

  /** Whether every block has an element in the arrays. */
  public boolean isDense() {
    return starts != null;
  }

  /**
   * Adds the products of the query impact and the maxima to the bounds of all blocks, and their
   * largest product in each group to the bound of the group. Only for a sparse representation.
   */
  public void addTo(int[] bounds, int[] groupBounds, int queryImpact) {
    int group = 0;
    int largest = 0;
    for (int entry = 0; entry < ids.length; entry++) {
      int product = queryImpact * (maxima[entry] & 0xFF);
      bounds[ids[entry]] += product;
      if (ids[entry] >> GROUP_SHIFT != group) {
        groupBounds[group] += largest;
        group = ids[entry] >> GROUP_SHIFT;
        largest = 0;
      }
      largest = Math.max(largest, product);
    }
    groupBounds[group] += largest;
  }

  /** The largest impact in a block; 0 if it has no posting of the list. */
  public int maximum(int block) {
    if (starts != null) {
      return maxima[block] & 0xFF;
    }
    long word = bitmap[block >> 6];
    if ((word >>> block & 1) == 0) {
      return 0;
    }
    return maxima[ranks[block >> 6] + Long.bitCount(word & (1L << block) - 1)] & 0xFF;
  }

  /**
   * Finds the postings of runs of consecutive blocks. A run does not cross from one window to the
   * next.
   *
   * @param firsts the first block of each run
   * @param lasts the last block of each run
   * @param from receives the position of each run's first posting
   * @param to receives the position after each run's last posting
   */
  public void find(int[] firsts, int[] lasts, int runs, int[] from, int[] to) {
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
    return next < starts.length && next % (1 << IN_WINDOW) != 0
        ? denseStart(next)
        : windows[(block >> IN_WINDOW) + 1];
  }

  private int sparseStart(int block) {
    int word = block >> 6;
    return firstPostings[
        word == ranks.length
            ? ids.length
            : ranks[word] + Long.bitCount(bitmap[word] & (1L << block) - 1)];
  }
}
