package io.spladelucene;

import java.util.ArrayList;
import java.util.List;

/**
 * A term's postings as lists with impacts of a byte, each with a factor: the impacts up to 255; and, of the documents whose
 * impact exceeds that, the excess, a byte of it at a time. The impact of a document is the sum of its products, and since the
 * largest excess stands where the largest impact does, the sum of the largest is a bound, and up to 510 the largest itself.
 *
 * @param docFreq documents of the whole index that have the term
 */
record ImpactPlanes(DecodedPostings[] lists, int[] factors, int docFreq) {
  private static final int BYTE = DecodedPostings.LARGEST;

  static ImpactPlanes of(int[] docs, int[] impacts, int size, int maxDoc, int docFreq) {
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
        lists.toArray(new DecodedPostings[0]), factors.stream().mapToInt(Integer::intValue).toArray(), docFreq);
  }

  long bytes() {
    long bytes = 0;
    for (DecodedPostings list : lists) {
      bytes += list.bytes();
    }
    return bytes;
  }
}
