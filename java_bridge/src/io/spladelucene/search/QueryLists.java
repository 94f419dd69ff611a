package io.spladelucene.search;

import io.spladelucene.postings.DecodedPostings;
import io.spladelucene.postings.ImpactPlanes;
import java.util.Arrays;

/**
 * What a query needs of one segment: the postings lists of its terms, their query impacts, and
 * which documents are accepted as hits. Documents are numbered within the segment.
 */
final class QueryLists {
  private static final double HEAVY = 0.75; // share of the bound that the heavy lists make up
  private static final double[] STOPS = {0.35, 0.55, 0.75, 0.9, 1}; // shares of the bound

  /** The lists; the first {@link #size} elements count. */
  DecodedPostings[] postings;

  /** By list: the query impact times the factor of the list. */
  int[] queryImpacts;

  /** The lucene_docid of the segment's first document. */
  final int docBase;

  /** The number of the segment's documents, deleted ones included. */
  final int maxDoc;

  /** The documents that are accepted as hits; {@code null}: all. */
  final AcceptedDocuments accepted;

  /** What may stop the search. */
  Cancellation cancellation = Cancellation.NEVER;

  /** The number of lists. */
  int size = 0;

  /** After {@link #arrange}: the number of heavy lists. */
  int heavy;

  private int[] stops; // after arrange
  private long total = 0;
  private long bound = 0; // of all scores, and of all bounds of blocks

  /** No lists yet; there will be at least one for each term that the segment has. */
  QueryLists(int terms, int docBase, int maxDoc, AcceptedDocuments accepted) {
    postings = new DecodedPostings[terms];
    queryImpacts = new int[terms];
    this.docBase = docBase;
    this.maxDoc = maxDoc;
    this.accepted = accepted;
  }

  /** Adds the lists of a term. */
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
      queryImpacts[size++] = (int) weight; // if that overflows, fitsInt is false
    }
  }

  /**
   * Sorts the lists by what they can contribute to a score, largest first. The first ones, which
   * make up three quarters of the bound, are heavy, and so are sparse lists, which cost little. The
   * others are light: long, and with small contributions.
   */
  void arrange() {
    for (int i = 1; i < size; i++) {
      move(i, positionByBound(i));
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

  private int positionByBound(int i) {
    int position = i;
    while (position > 0 && boundOf(position - 1) < boundOf(i)) {
      position--;
    }
    return position;
  }

  /** Moves a list to a position before it. */
  private void move(int i, int position) {
    DecodedPostings list = postings[i];
    int queryImpact = queryImpacts[i];
    System.arraycopy(postings, position, postings, position + 1, i - position);
    System.arraycopy(queryImpacts, position, queryImpacts, position + 1, i - position);
    postings[position] = list;
    queryImpacts[position] = queryImpact;
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

  /**
   * After {@link #arrange}: the numbers of lists after which it pays to look for blocks that can be
   * dropped, ascending. The last one is the number of all lists.
   */
  int[] stops() {
    return stops;
  }

  /** Whether a document is accepted as a hit. */
  boolean accepts(int doc) {
    return accepted == null || (accepted.bits[doc >> 6] >>> doc & 1) != 0;
  }

  /** The score of a document. */
  long scoreOf(int doc) {
    long score = 0;
    for (int i = 0; i < size; i++) {
      score += (long) queryImpacts[i] * postings[i].impactOf(doc);
    }
    return score;
  }

  /** Whether all scores, and all bounds of blocks, fit into an int. */
  boolean fitsInt() {
    return bound <= Integer.MAX_VALUE;
  }

  /** The number of postings of the heavy lists. */
  long heavyTotal() {
    long postingsOfHeavy = 0;
    for (int i = 0; i < heavy; i++) {
      postingsOfHeavy += postings[i].size();
    }
    return postingsOfHeavy;
  }

  /** The number of postings of all lists. */
  long total() {
    return total;
  }

  /**
   * A score that at least {@code k} accepted documents reach; 0 if none is known. Documents below
   * it are not among the best {@code k}. It follows from one list.
   */
  long floor(int k) {
    long floor = 0;
    for (int i = 0; i < size; i++) {
      long weight = queryImpacts[i];
      if (weight * postings[i].atLeast(k) > floor) {
        int impact = accepted == null ? postings[i].atLeast(k) : accepted.atLeast(postings[i], k);
        floor = Math.max(floor, weight * impact);
      }
    }
    return floor;
  }

  /** One document in so many is accepted. */
  double oneAcceptedIn() {
    return accepted == null ? 1 : (double) maxDoc / Math.max(1, accepted.count);
  }
}
