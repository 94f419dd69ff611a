package io.spladelucene;

import java.util.Arrays;

/** What a query meets in one leaf: the postings of its terms that are there, and which documents count. */
final class QueryLists {
  private static final double HEAVY = 0.75; // share of the bound
  private static final double[] STOPS = {0.35, 0.55, 0.75, 0.9, 1}; // likewise

  DecodedPostings[] postings;
  int[] queryImpacts; // times the factor of the list
  final int docBase;
  final int maxDoc;
  final long[] accepted; // a bit a document; null: all
  final int excluded; // documents that are not accepted
  int size = 0;
  int heavy; // after arrange: so many lists are most of the bound, or few blocks have them; the others are light
  private int[] stops; // after arrange
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

  /**
   * Puts the lists that may add most to a score first, until they make up most of the bound; then those others that few blocks
   * have, for they cost little; then the light ones, which are long and add little.
   */
  void arrange() {
    for (int i = 1; i < size; i++) {
      move(i, placeByBound(i));
    }
    double most = bound * HEAVY;
    for (heavy = 0; heavy < size && most > 0; heavy++) {
      most -= boundOf(heavy);
    }
    for (int i = heavy; i < size; i++) {
      if (!postings[i].blocks().isDense()) {
        move(i, heavy++);
      }
    }
    findStops();
  }

  private int placeByBound(int i) {
    int place = i;
    while (place > 0 && boundOf(place - 1) < boundOf(i)) {
      place--;
    }
    return place;
  }

  /** Moves a list forward. */
  private void move(int i, int place) {
    DecodedPostings list = postings[i];
    int queryImpact = queryImpacts[i];
    System.arraycopy(postings, place, postings, place + 1, i - place);
    System.arraycopy(queryImpacts, place, queryImpacts, place + 1, i - place);
    postings[place] = list;
    queryImpacts[place] = queryImpact;
  }

  private long boundOf(int i) {
    return (long) queryImpacts[i] * postings[i].atLeast(1);
  }

  private void findStops() {
    stops = new int[STOPS.length];
    long reached = 0;
    int stop = 0;
    for (int i = 0; i < size; i++) {
      reached += boundOf(i);
      while (stop < STOPS.length - 1 && reached >= STOPS[stop] * bound) {
        stops[stop++] = i + 1;
      }
    }
    Arrays.fill(stops, stop, STOPS.length, size);
  }

  /** After how many lists blocks that cannot hold a hit any more are dropped, ascending; the last is all lists. */
  int[] stops() {
    return stops;
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

  /** Postings of the heavy lists. */
  long heavyTotal() {
    long postingsOfHeavy = 0;
    for (int i = 0; i < heavy; i++) {
      postingsOfHeavy += postings[i].size();
    }
    return postingsOfHeavy;
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
