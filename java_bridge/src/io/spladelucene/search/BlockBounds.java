package io.spladelucene.search;

import io.spladelucene.postings.BlockMaxima;
import java.util.Arrays;

/**
 * Upper bounds of the scores in each block of a segment, for one query at a time.
 *
 * <p>The bounds of groups of eight blocks are computed first; they are the superblocks of Carlson
 * et al., Dynamic Superblock Pruning for Fast Learned Sparse Retrieval, SIGIR 2025, arXiv
 * 2504.17045. The bounds of blocks are computed only in groups that can have a hit; this is to
 * refine a group. At first, what the light lists can add to a block is bounded by what they can add
 * to its group; where that does not rule out the block, it is computed for the block.
 *
 * <p>Use: {@link #begin}, then {@link #refineLargest}, {@link #refine} and {@link #choose} in any
 * order, then {@link #end}.
 */
final class BlockBounds {
  // This many lists are added in one pass, in which the bounds are read and written once.
  private static final int FUSED = 4;

  /**
   * The bounds of the blocks of refined groups. {@link BlockMax} sets the bound of a block to 0
   * when it has scored it.
   */
  int[] ofBlocks = new int[0];

  /** The bounds of the groups. */
  int[] ofGroups = new int[0];

  private int[] ofLight = new int[0]; // by group, of the light lists only
  private int[] ofLightInBlocks = new int[0]; // the same by block, plus 1; 0: not computed
  private int[] tightened = new int[0];
  private boolean[] isRefined = new boolean[0];
  private int[] groups = new int[0]; // groups to refine
  private int count; // the number of groups
  private int blocks; // the number of blocks
  private final byte[][] maxima = new byte[FUSED][];
  private final int[][] groupMaxima = new int[FUSED][];
  private final int[] queryImpacts = new int[FUSED];
  private final TopBuckets buckets = new TopBuckets();

  /**
   * Computes the bounds of the groups.
   *
   * @param lists arranged
   */
  void begin(QueryLists lists) {
    blocks = BlockMaxima.count(lists.maxDoc);
    count = BlockMaxima.groups(lists.maxDoc);
    if (ofGroups.length < count) {
      ofBlocks = new int[count << BlockMaxima.GROUP_SHIFT];
      ofGroups = new int[count];
      ofLight = new int[count];
      ofLightInBlocks = new int[ofBlocks.length];
      tightened = new int[ofBlocks.length];
      isRefined = new boolean[count];
      groups = new int[count];
    }
    addGroups(lists, lists.heavy, lists.size, ofLight);
    System.arraycopy(ofLight, 0, ofGroups, 0, count);
    addGroups(lists, 0, lists.heavy, ofGroups);
    for (int i = 0; i < lists.heavy; i++) {
      BlockMaxima list = lists.postings[i].blocks();
      if (!list.isDense()) {
        list.addTo(ofBlocks, ofGroups, lists.queryImpacts[i]);
      }
    }
  }

  /** Adds the dense lists from {@code from} to {@code to} to the bounds of the groups. */
  private void addGroups(QueryLists lists, int from, int to, int[] bounds) {
    int waiting = 0;
    for (int i = from; i < to; i++) {
      BlockMaxima list = lists.postings[i].blocks();
      if (list.isDense()) {
        groupMaxima[waiting] = list.groupMaxima;
        queryImpacts[waiting++] = lists.queryImpacts[i];
        if (waiting == FUSED) {
          addGroups(
              groupMaxima[0],
              groupMaxima[1],
              groupMaxima[2],
              groupMaxima[3],
              queryImpacts,
              bounds,
              count);
          waiting = 0;
        }
      }
    }
    for (int i = 0; i < waiting; i++) {
      addGroups(groupMaxima[i], queryImpacts[i], bounds, count);
    }
  }

  private static void addGroups(int[] maxima, int queryImpact, int[] bounds, int count) {
    for (int i = 0; i < count; i++) {
      bounds[i] += queryImpact * maxima[i];
    }
  }

  private static void addGroups(
      int[] a, int[] b, int[] c, int[] d, int[] queryImpacts, int[] bounds, int count) {
    int p = queryImpacts[0];
    int q = queryImpacts[1];
    int r = queryImpacts[2];
    int s = queryImpacts[3];
    for (int i = 0; i < count; i++) {
      bounds[i] += p * a[i] + q * b[i] + r * c[i] + s * d[i];
    }
  }

  /**
   * Refines the groups with the largest bounds: at least {@code wanted}, if the bounds of so many
   * reach the threshold.
   */
  void refineLargest(QueryLists lists, int wanted, long threshold) {
    int size = 0;
    for (int group = 0; group < count; group++) {
      if (ofGroups[group] >= threshold) {
        groups[size++] = group;
      }
    }
    int cut = size <= 2 * wanted ? 0 : buckets.leastOfLargest(ofGroups, groups, size, wanted);
    refine(lists, Math.max(cut, threshold));
  }

  /** Refines all groups whose bounds reach a threshold. */
  void refine(QueryLists lists, long threshold) {
    int size = 0;
    for (int group = 0; group < count; group++) {
      if (ofGroups[group] >= threshold && !isRefined[group]) {
        isRefined[group] = true;
        groups[size++] = group;
        int from = group << BlockMaxima.GROUP_SHIFT;
        for (int block = from; block < from + BlockMaxima.GROUP; block++) {
          ofBlocks[block] += ofLight[group];
        }
      }
    }
    int waiting = 0;
    for (int i = 0; i < lists.heavy; i++) {
      BlockMaxima list = lists.postings[i].blocks();
      if (list.isDense()) {
        maxima[waiting] = list.maxima;
        queryImpacts[waiting++] = lists.queryImpacts[i];
        if (waiting == FUSED) {
          addBlocks(maxima[0], maxima[1], maxima[2], maxima[3], queryImpacts, size);
          waiting = 0;
        }
      }
    }
    for (int i = 0; i < waiting; i++) {
      addBlocks(maxima[i], queryImpacts[i], size);
    }
  }

  private void addBlocks(byte[] list, int queryImpact, int size) {
    int[] bounds = ofBlocks;
    for (int i = 0; i < size; i++) {
      int from = groups[i] << BlockMaxima.GROUP_SHIFT;
      for (int block = from; block < from + BlockMaxima.GROUP; block++) {
        bounds[block] += queryImpact * (list[block] & 0xFF);
      }
    }
  }

  private void addBlocks(byte[] a, byte[] b, byte[] c, byte[] d, int[] queryImpacts, int size) {
    int[] bounds = ofBlocks;
    int p = queryImpacts[0];
    int q = queryImpacts[1];
    int r = queryImpacts[2];
    int s = queryImpacts[3];
    for (int i = 0; i < size; i++) {
      int from = groups[i] << BlockMaxima.GROUP_SHIFT;
      for (int block = from; block < from + BlockMaxima.GROUP; block++) {
        bounds[block] +=
            p * (a[block] & 0xFF)
                + q * (b[block] & 0xFF)
                + r * (c[block] & 0xFF)
                + s * (d[block] & 0xFF);
      }
    }
  }

  /**
   * Finds the blocks of refined groups whose bounds reach a threshold and that have an accepted
   * document. Blocks that were scored are not found.
   *
   * @param chosen receives the blocks, ascending
   * @return the number of blocks
   */
  int choose(QueryLists lists, long threshold, int[] chosen) {
    int size = 0;
    for (int group = 0; group < count; group++) {
      if (isRefined[group]) {
        int from = group << BlockMaxima.GROUP_SHIFT;
        int to = Math.min(blocks, from + BlockMaxima.GROUP);
        for (int block = from; block < to; block++) {
          if (ofBlocks[block] >= threshold
              && (lists.accepted == null || lists.accepted.bits[block] != 0)) {
            chosen[size++] = block;
          }
        }
      }
    }
    tighten(lists, chosen, size);
    int kept = 0;
    for (int i = 0; i < size; i++) {
      if (ofBlocks[chosen[i]] >= threshold) {
        chosen[kept++] = chosen[i];
      }
    }
    return kept;
  }

  /** Computes what the light lists can add in each of some blocks, instead of in their groups. */
  private void tighten(QueryLists lists, int[] chosen, int size) {
    int loose = 0;
    for (int i = 0; i < size; i++) {
      if (ofLightInBlocks[chosen[i]] == 0) {
        ofLightInBlocks[chosen[i]] = 1;
        tightened[loose++] = chosen[i];
      }
    }
    for (int i = lists.heavy; i < lists.size; i++) {
      byte[] list = lists.postings[i].blocks().maxima;
      int queryImpact = lists.queryImpacts[i];
      for (int j = 0; j < loose; j++) {
        ofLightInBlocks[tightened[j]] += queryImpact * (list[tightened[j]] & 0xFF);
      }
    }
    for (int j = 0; j < loose; j++) {
      int block = tightened[j];
      ofBlocks[block] -= ofLight[block >> BlockMaxima.GROUP_SHIFT] - ofLight(block);
    }
  }

  /** An upper bound of what the light lists add to a document of a chosen block. */
  int ofLight(int block) {
    return ofLightInBlocks[block] - 1;
  }

  /** Prepares for the next query. */
  void end() {
    Arrays.fill(ofBlocks, 0, count << BlockMaxima.GROUP_SHIFT, 0);
    Arrays.fill(ofLight, 0, count, 0);
    Arrays.fill(ofLightInBlocks, 0, blocks, 0);
    Arrays.fill(isRefined, 0, count, false);
  }
}
