package io.spladelucene;

import java.util.Arrays;

/** Finds by counting, without sorting, which of many bounds are the largest. */
final class TopBuckets {
  private static final int BUCKETS = 1 << 10;

  private final int[] sizes = new int[BUCKETS];

  /** A bound that at least {@code wanted} of the chosen reach, and not many more; 0 if there are fewer. */
  int leastOfLargest(int[] bounds, int[] chosen, int count, int wanted) {
    int largest = 0;
    for (int i = 0; i < count; i++) {
      largest = Math.max(largest, bounds[chosen[i]]);
    }
    int shift = Math.max(0, 22 - Integer.numberOfLeadingZeros(largest)); // the ten leading bits are a bucket
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
