package io.spladelucene.search;

import io.spladelucene.postings.DecodedPostings;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;

/** The documents of a segment that are accepted as hits, where not all of them are. */
final class AcceptedDocuments {
  /** A bit for each document of the segment. */
  final long[] bits;

  /** The number of accepted documents. */
  final int count;

  /** The documents, if they are few; otherwise {@code null}. */
  final Selection selection;

  // A list is its own key: it leaves the map when the cache of postings drops it.
  private final Map<DecodedPostings, int[]> ranked =
      Collections.synchronizedMap(new WeakHashMap<>());

  /**
   * Accepts documents.
   *
   * @param budget of bytes that a selection may take
   */
  AcceptedDocuments(long[] bits, int maxDoc, long budget) {
    this.bits = bits;
    int accepted = 0;
    for (long word : bits) {
      accepted += Long.bitCount(word);
    }
    count = accepted;
    selection = Selection.of(bits, count, maxDoc, budget);
  }

  /** An impact that at least {@code k} accepted documents of a list reach; 0 if none is known. */
  int atLeast(DecodedPostings list, int k) {
    int[] found = ranked.get(list);
    if (found == null) {
      found = list.rankedOf(bits);
      ranked.put(list, found);
    }
    return DecodedPostings.atLeast(found, k);
  }
}
