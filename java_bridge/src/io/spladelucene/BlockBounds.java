package io.spladelucene;

import java.util.Arrays;

/**
 * Bounds of the scores in each block of a leaf for one query. Those of groups of eight blocks are added up first (superblocks,
 * arXiv 2504.17045); those of the blocks only in groups that may hold a hit.
 */
final class BlockBounds {
  private static final int FUSED = 4; // lists that are added at once: the bounds are read and written once for them

  int[] ofBlocks = new int[0]; // 0: no hit in it, or scored already; unknown in a group that is not refined
  private int[] ofGroups = new int[0];
  private boolean[] isRefined = new boolean[0];
  private int[] groups = new int[0]; // those to refine
  private int count; // of all groups
  private int blocks;
  private final byte[][] maxima = new byte[FUSED][];
  private final int[] queryImpacts = new int[FUSED];
  private final TopBuckets buckets = new TopBuckets();

  /** Adds up the bounds of the groups. */
  void begin(QueryLists lists) {
    blocks = BlockMaxima.count(lists.maxDoc);
    count = BlockMaxima.groups(lists.maxDoc);
    if (ofGroups.length < count) {
      ofBlocks = new int[count << BlockMaxima.GROUP_SHIFT];
      ofGroups = new int[count];
      isRefined = new boolean[count];
      groups = new int[count];
    }
    int waiting = 0;
    for (int i = 0; i < lists.size; i++) {
      BlockMaxima list = lists.postings[i].blocks();
      if (list.isDense()) {
        maxima[waiting] = list.groupMaxima;
        queryImpacts[waiting++] = lists.queryImpacts[i];
        if (waiting == FUSED) {
          addGroups(maxima[0], maxima[1], maxima[2], maxima[3], queryImpacts, ofGroups, count);
          waiting = 0;
        }
      } else {
        list.addTo(ofBlocks, ofGroups, lists.queryImpacts[i]);
      }
    }
    for (int i = 0; i < waiting; i++) {
      addGroups(maxima[i], queryImpacts[i], ofGroups, count);
    }
  }

  private static void addGroups(byte[] maxima, int queryImpact, int[] bounds, int count) {
    for (int i = 0; i < count; i++) {
      bounds[i] += queryImpact * (maxima[i] & 0xFF);
    }
  }

  private static void addGroups(byte[] a, byte[] b, byte[] c, byte[] d, int[] queryImpacts, int[] bounds, int count) {
    int p = queryImpacts[0];
    int q = queryImpacts[1];
    int r = queryImpacts[2];
    int s = queryImpacts[3];
    for (int i = 0; i < count; i++) {
      bounds[i] += p * (a[i] & 0xFF) + q * (b[i] & 0xFF) + r * (c[i] & 0xFF) + s * (d[i] & 0xFF);
    }
  }

  /** Adds up the bounds of the blocks of the groups with the largest bounds: at least {@code wanted}, if so many may hold a hit. */
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

  /** Adds up the bounds of the blocks of all groups whose bounds reach a score. */
  void refine(QueryLists lists, long threshold) {
    int size = 0;
    for (int group = 0; group < count; group++) {
      if (ofGroups[group] >= threshold && !isRefined[group]) {
        isRefined[group] = true;
        groups[size++] = group;
      }
    }
    int waiting = 0;
    for (int i = 0; i < lists.size; i++) {
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

  private void addBlocks(byte[] its, int queryImpact, int size) {
    int[] bounds = ofBlocks;
    for (int i = 0; i < size; i++) {
      int from = groups[i] << BlockMaxima.GROUP_SHIFT;
      for (int block = from; block < from + BlockMaxima.GROUP; block++) {
        bounds[block] += queryImpact * (its[block] & 0xFF);
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
            p * (a[block] & 0xFF) + q * (b[block] & 0xFF) + r * (c[block] & 0xFF) + s * (d[block] & 0xFF);
      }
    }
  }

  /** Collects the refined blocks whose bounds reach a score and that have a document which counts, ascending; returns their number. */
  int choose(QueryLists lists, long threshold, int[] chosen) {
    int size = 0;
    for (int group = 0; group < count; group++) {
      if (isRefined[group]) {
        int from = group << BlockMaxima.GROUP_SHIFT;
        int to = Math.min(blocks, from + BlockMaxima.GROUP);
        for (int block = from; block < to; block++) {
          if (ofBlocks[block] >= threshold && (lists.accepted == null || lists.accepted[block] != 0)) {
            chosen[size++] = block;
          }
        }
      }
    }
    return size;
  }

  /** Forgets the query. */
  void end() {
    Arrays.fill(ofBlocks, 0, count << BlockMaxima.GROUP_SHIFT, 0);
    Arrays.fill(ofGroups, 0, count, 0);
    Arrays.fill(isRefined, 0, count, false);
  }
}
