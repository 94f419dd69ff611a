package io.spladelucene;

import org.apache.lucene.util.Bits;

/** What a query meets in one leaf: the postings of its terms that are there, and which documents count. */
final class QueryLists {
  final DecodedPostings[] postings;
  final int[] queryImpacts;
  final int docBase;
  final int maxDoc;
  final Bits live; // null: all
  int size = 0;

  QueryLists(int terms, int docBase, int maxDoc, Bits live) {
    postings = new DecodedPostings[terms];
    queryImpacts = new int[terms];
    this.docBase = docBase;
    this.maxDoc = maxDoc;
    this.live = live;
  }

  void add(DecodedPostings list, int queryImpact) {
    postings[size] = list;
    queryImpacts[size++] = queryImpact;
  }

  /** Whether scores, and the bounds of blocks, fit into an int. */
  boolean fitsInt() {
    long bound = 0;
    for (int i = 0; i < size && bound <= Integer.MAX_VALUE; i++) {
      bound += (long) queryImpacts[i] * postings[i].atLeast(1);
    }
    return bound <= Integer.MAX_VALUE;
  }

  /** Postings of all lists. */
  long total() {
    long total = 0;
    for (int i = 0; i < size; i++) {
      total += postings[i].docs.length;
    }
    return total;
  }

  /**
   * A score that at least {@code k} documents reach, so that a document below it is no hit: the largest k-th product of
   * a term. 0 if none is known.
   */
  long floor(int k) {
    long floor = 0;
    if (live == null) {
      for (int i = 0; i < size; i++) {
        floor = Math.max(floor, (long) queryImpacts[i] * postings[i].atLeast(k));
      }
    }
    return floor;
  }
}
