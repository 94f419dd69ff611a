package io.spladelucene.search;

import java.util.Arrays;

/** Finds the largest of many bounds by counting, without sorting them. */
final class TopBuckets {
  private static final int BUCKETS = 1 << 10;

  private final int[] sizes = new int[BUCKETS];

  /**
   * A bound that at least {@code wanted} of the chosen bounds reach, and not many more; 0 if there
   * are fewer.
   *
   * @param chosen the positions of the bounds that count; the first {@code count} elements
   */
  int leastOfLargest(int[] bounds, int[] chosen, int count, int wanted) {
    int largest = 0;
    for (int i = 0; i < count; i++) {
      largest = Math.max(largest, bounds[chosen[i]]);
    }
    // The ten leading bits of a bound are its bucket.
    int shift = Math.max(0, 22 - Integer.numberOfLeadingZeros(largest));
    Arrays.fill(sizes, 0);
    for (int i = 0; i < count; i++) {
      sizes[bounds[chosen[i]] >>> shift]++;
    }
    int bucket = BUCKETS;
    for (int reached = 0; reached < wanted && bucket > 0; ) {
      reached += sizes[--bucket];
    }
    return bucket << shift;
  }
}
