package io.spladelucene;

import java.util.Arrays;

/** What a query meets in one leaf: the postings of its terms that are there, and which documents count. */
final class QueryLists {
  private static final double HEAVY = 0.75; // share of the bound

  DecodedPostings[] postings;
  int[] queryImpacts; // times the factor of the list
  final int docBase;
  final int maxDoc;
  final long[] accepted; // a bit a document; null: all
  final int excluded; // documents that are not accepted
  int size = 0;
  int heavy; // after sortByBound: of so many lists the bounds are most of the sum
  private long total = 0;
  private long bound = 0; // of all scores and sums

  QueryLists(int terms, int docBase, int maxDoc, long[] accepted, int excluded) {
    postings = new DecodedPostings[terms];
    queryImpacts = new int[terms];
    this.docBase = docBase;
    this.maxDoc = maxDoc;
    this.accepted = accepted;
    this.excluded = excluded;
  }

  void add(ImpactPlanes planes, int queryImpact) {
    for (int i = 0; i < planes.lists().length; i++) {
      if (size == postings.length) {
        postings = Arrays.copyOf(postings, 2 * size + 1);
        queryImpacts = Arrays.copyOf(queryImpacts, 2 * size + 1);
      }
      DecodedPostings list = planes.lists()[i];
      long weight = (long) queryImpact * planes.factors()[i];
      bound = Math.min(1L << 62, bound + weight * list.atLeast(1));
      total += list.size();
      postings[size] = list;
      queryImpacts[size++] = (int) weight; // if it is larger, so is the bound
    }
  }

  /** Puts the lists that may add most to a score first. */
  void sortByBound() {
    for (int i = 1; i < size; i++) {
      DecodedPostings list = postings[i];
      int queryImpact = queryImpacts[i];
      long its = (long) queryImpact * list.atLeast(1);
      int j = i;
      for (; j > 0 && (long) queryImpacts[j - 1] * postings[j - 1].atLeast(1) < its; j--) {
        postings[j] = postings[j - 1];
        queryImpacts[j] = queryImpacts[j - 1];
      }
      postings[j] = list;
      queryImpacts[j] = queryImpact;
    }
    double most = bound * HEAVY;
    for (heavy = 0; heavy < size && most > 0; heavy++) {
      most -= (double) queryImpacts[heavy] * postings[heavy].atLeast(1);
    }
  }

  boolean accepts(int doc) {
    return accepted == null || (accepted[doc >> 6] >>> doc & 1) != 0;
  }

  long scoreOf(int doc) {
    long score = 0;
    for (int i = 0; i < size; i++) {
      score += (long) queryImpacts[i] * postings[i].impactOf(doc);
    }
    return score;
  }

  /** Whether scores, and the bounds of blocks, fit into an int. */
  boolean fitsInt() {
    return bound <= Integer.MAX_VALUE;
  }

  /** Postings of all lists. */
  long total() {
    return total;
  }

  /**
   * A score that at least {@code k} documents reach, so that a document below it is no hit: the largest product of a term that
   * so many documents have, with those that do not count. 0 if none is known.
   */
  long floor(int k) {
    long floor = 0;
    if (excluded <= Integer.MAX_VALUE - k) {
      for (int i = 0; i < size; i++) {
        floor = Math.max(floor, (long) queryImpacts[i] * postings[i].atLeast(k + excluded));
      }
    }
    return floor;
  }
}
