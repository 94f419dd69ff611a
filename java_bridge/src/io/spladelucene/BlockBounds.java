package io.spladelucene;

import java.util.Arrays;

/**
 * Bounds of the scores in each block of a leaf for one query. Those of groups of eight blocks are added up first (superblocks,
 * arXiv 2504.17045); those of the blocks only in groups that may hold a hit, and there only the heavy lists': what the light
 * ones add at most is taken by group first, and by block where that is not enough.
 */
final class BlockBounds {
  private static final int FUSED = 4; // lists that are added at once: the bounds are read and written once for them

  int[] ofBlocks = new int[0]; // 0: no hit in it, or scored already; unknown in a group that is not refined
  private int[] ofGroups = new int[0];
  private int[] ofLight = new int[0]; // of the light lists alone, by group
  private int[] ofLightInBlocks = new int[0]; // likewise by block, plus 1; 0 where it is not known
  private int[] tightened = new int[0];
  private boolean[] isRefined = new boolean[0];
  private int[] groups = new int[0]; // those to refine
  private int count; // of all groups
  private int blocks;
  private final byte[][] maxima = new byte[FUSED][];
  private final int[][] groupMaxima = new int[FUSED][];
  private final int[] queryImpacts = new int[FUSED];
  private final TopBuckets buckets = new TopBuckets();

  /** Adds up the bounds of the groups. */
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

  /** Adds some lists, those of them that are dense. */
  private void addGroups(QueryLists lists, int from, int to, int[] bounds) {
    int waiting = 0;
    for (int i = from; i < to; i++) {
      BlockMaxima list = lists.postings[i].blocks();
      if (list.isDense()) {
        groupMaxima[waiting] = list.groupMaxima;
        queryImpacts[waiting++] = lists.queryImpacts[i];
        if (waiting == FUSED) {
          addGroups(groupMaxima[0], groupMaxima[1], groupMaxima[2], groupMaxima[3], queryImpacts, bounds, count);
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

  private static void addGroups(int[] a, int[] b, int[] c, int[] d, int[] queryImpacts, int[] bounds, int count) {
    int p = queryImpacts[0];
    int q = queryImpacts[1];
    int r = queryImpacts[2];
    int s = queryImpacts[3];
    for (int i = 0; i < count; i++) {
      bounds[i] += p * a[i] + q * b[i] + r * c[i] + s * d[i];
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
    tighten(lists, chosen, size);
    int kept = 0;
    for (int i = 0; i < size; i++) {
      if (ofBlocks[chosen[i]] >= threshold) {
        chosen[kept++] = chosen[i];
      }
    }
    return kept;
  }

  /** Adds up for some blocks what the light lists add to their own documents, not to those of their groups. */
  private void tighten(QueryLists lists, int[] chosen, int size) {
    int loose = 0;
    for (int i = 0; i < size; i++) {
      if (ofLightInBlocks[chosen[i]] == 0) {
        ofLightInBlocks[chosen[i]] = 1;
        tightened[loose++] = chosen[i];
      }
    }
    for (int i = lists.heavy; i < lists.size; i++) {
      byte[] its = lists.postings[i].blocks().maxima;
      int queryImpact = lists.queryImpacts[i];
      for (int j = 0; j < loose; j++) {
        ofLightInBlocks[tightened[j]] += queryImpact * (its[tightened[j]] & 0xFF);
      }
    }
    for (int j = 0; j < loose; j++) {
      int block = tightened[j];
      ofBlocks[block] -= ofLight[block >> BlockMaxima.GROUP_SHIFT] - ofLight(block);
    }
  }

  /** What the light lists add at most to a document of a block that was chosen. */
  int ofLight(int block) {
    return ofLightInBlocks[block] - 1;
  }

  /** Forgets the query. */
  void end() {
    Arrays.fill(ofBlocks, 0, count << BlockMaxima.GROUP_SHIFT, 0);
    Arrays.fill(ofLight, 0, count, 0);
    Arrays.fill(ofLightInBlocks, 0, blocks, 0);
    Arrays.fill(isRefined, 0, count, false);
  }
}
