package io.spladelucene.postings;

import java.util.Arrays;
import java.util.Random;

/**
 * Random postings of a term.
 *
 * @param impacts by document; 0: it does not have the term
 */
public record RandomPostings(int[] impacts) {
  /** Draws postings: each document has the term with some probability. */
  public static RandomPostings draw(Random random, int maxDoc, double density, int largestImpact) {
    int[] impacts = new int[maxDoc];
    for (int doc = 0; doc < maxDoc; doc++) {
      if (random.nextDouble() < density) {
        double skewed = Math.pow(random.nextDouble(), 4);
        impacts[doc] = (int) Math.min(largestImpact, 1 + (long) (skewed * largestImpact));
      }
    }
    impacts[random.nextInt(maxDoc)] = largestImpact; // at least one posting
    return new RandomPostings(impacts);
  }

  /** The number of the segment's documents. */
  public int maxDoc() {
    return impacts.length;
  }

  /** The number of postings. */
  public int size() {
    return (int) Arrays.stream(impacts).filter(impact -> impact > 0).count();
  }

  /** The documents with a posting. */
  public int[] docs() {
    int[] docs = new int[size()];
    int count = 0;
    for (int doc = 0; doc < impacts.length; doc++) {
      if (impacts[doc] > 0) {
        docs[count++] = doc;
      }
    }
    return docs;
  }

  /** The largest impact in a range of documents. */
  public int maximum(int from, int to) {
    return Arrays.stream(impacts, from, Math.min(to, impacts.length)).max().orElse(0);
  }

  /** The same postings as lists of bytes. */
  public ImpactPlanes planes() {
    int[] found = Arrays.stream(impacts).filter(impact -> impact > 0).toArray();
    return ImpactPlanes.of(docs(), found, found.length, maxDoc());
  }

  /** The same postings as one list; no impact may exceed a byte. */
  DecodedPostings decoded() {
    int[] found = Arrays.stream(impacts).filter(impact -> impact > 0).toArray();
    return new DecodedPostings(docs(), found, found.length, maxDoc());
  }
}
