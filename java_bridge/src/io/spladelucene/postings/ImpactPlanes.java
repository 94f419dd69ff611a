package io.spladelucene.postings;

import java.util.ArrayList;
import java.util.List;

/**
 * The postings of a term in one segment, as lists whose impacts take a byte.
 *
 * <p>An impact is the sum over the lists of the list's factor times its impact there. The first
 * list has the factor 1 and every document, with its impact cut to 255. What exceeds 255 is split
 * into its bytes: each further list has one byte of the excess and leaves out the documents where
 * that byte is 0.
 *
 * <p>The sum of the factors times the lists' largest impacts is therefore an upper bound of the
 * impacts; up to 510 it is the largest impact itself.
 *
 * @param factors the factor of each list
 */
public record ImpactPlanes(DecodedPostings[] lists, int[] factors) {
  private static final int BYTE = DecodedPostings.LARGEST;

  /**
   * Splits the postings of a term.
   *
   * @param docs ascending; the first {@code size} elements count
   * @param impacts at least 1; overwritten
   */
  static ImpactPlanes of(int[] docs, int[] impacts, int size, int maxDoc) {
    List<DecodedPostings> lists = new ArrayList<>();
    List<Integer> factors = new ArrayList<>();
    int[] excessDocs = new int[size];
    int[] excess = new int[size];
    int count = 0;
    for (int i = 0; i < size; i++) {
      if (impacts[i] > BYTE) {
        excessDocs[count] = docs[i];
        excess[count++] = impacts[i] - BYTE;
        impacts[i] = BYTE;
      }
    }
    lists.add(new DecodedPostings(docs, impacts, size, maxDoc));
    factors.add(1);
    for (int shift = 0; shift < Integer.SIZE && count > 0; shift += Byte.SIZE) {
      int[] planeDocs = new int[count];
      int[] plane = new int[count];
      int planeSize = 0;
      for (int i = 0; i < count; i++) {
        if ((excess[i] >>> shift & BYTE) != 0) {
          planeDocs[planeSize] = excessDocs[i];
          plane[planeSize++] = excess[i] >>> shift & BYTE;
        }
      }
      if (planeSize > 0) {
        lists.add(new DecodedPostings(planeDocs, plane, planeSize, maxDoc));
        factors.add(1 << shift);
      }
    }
    return new ImpactPlanes(
        lists.toArray(new DecodedPostings[0]),
        factors.stream().mapToInt(Integer::intValue).toArray());
  }

  /** An estimate of the memory of all lists. */
  public long bytes() {
    long bytes = 0;
    for (DecodedPostings list : lists) {
      bytes += list.bytes();
    }
    return bytes;
  }
}
