package io.spladelucene.search;

import io.spladelucene.postings.DecodedPostings;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;

/**
 * The few documents of a segment that a filter accepts, numbered from 0, and of each postings list
 * that was searched the postings of these documents. They are found when a list is first searched
 * with the filter; a search then adds them up, which takes as long as in an index of these
 * documents alone.
 */
final class Selection {
  // A filter that accepts at most this share of a segment's documents has a selection.
  private static final int SHARE = 8;

  /** The postings of a list in the selection: numbers of documents, ascending, and impacts. */
  private record Part(int[] numbers, byte[] impacts) {
    long bytes() {
      return 5L * numbers.length + 100;
    }
  }

  private final long[] accepted;
  private final int[] ranks; // by word of accepted: the number of accepted documents before it
  private final int[] docs; // ascending
  private final long budget; // of bytes of parts that are kept
  private long bytes = 0;
  // A list is its own key: it leaves the map when the cache of postings drops it.
  private final Map<DecodedPostings, Part> parts = Collections.synchronizedMap(new WeakHashMap<>());

  private Selection(long[] accepted, int count, long budget) {
    this.accepted = accepted;
    this.budget = budget;
    ranks = new int[accepted.length];
    docs = new int[count];
    int size = 0;
    for (int word = 0; word < accepted.length; word++) {
      ranks[word] = size;
      for (long left = accepted[word]; left != 0; left &= left - 1) {
        docs[size++] = (word << 6) + Long.numberOfTrailingZeros(left);
      }
    }
  }

  /**
   * A selection of the accepted documents; {@code null} if they are too many.
   *
   * @param accepted a bit for each document
   * @param count the number of accepted documents
   */
  static Selection of(long[] accepted, int count, int maxDoc, long budget) {
    return (long) count * SHARE <= maxDoc ? new Selection(accepted, count, budget) : null;
  }

  /**
   * Searches the selected documents.
   *
   * @param lists whose scores fit into an int
   * @param sums all 0, and again afterwards
   * @return the sums, which may have grown
   */
  int[] search(QueryLists lists, TopHits top, int[] sums, Profile profile) {
    int[] all = sums.length < docs.length ? new int[docs.length] : sums;
    for (int i = 0; i < lists.size; i++) {
      lists.cancellation.check();
      Part part = partOf(lists.postings[i]);
      int queryImpact = lists.queryImpacts[i];
      for (int posting = 0; posting < part.numbers.length; posting++) {
        all[part.numbers[posting]] += queryImpact * (part.impacts[posting] & 0xFF);
      }
      profile.postingsScored += part.numbers.length;
    }
    long threshold = top.threshold();
    for (int number = 0; number < docs.length; number++) {
      if (all[number] >= threshold) {
        top.offer(all[number], lists.docBase + docs[number]);
        threshold = top.threshold();
      }
    }
    Arrays.fill(all, 0, docs.length, 0);
    return all;
  }

  private Part partOf(DecodedPostings list) {
    Part part = parts.get(list);
    if (part == null) {
      part = isFewer(list) ? lookUp(list) : scan(list);
      keep(list, part);
    }
    return part;
  }

  private synchronized void keep(DecodedPostings list, Part part) {
    if (bytes + part.bytes() > budget) {
      parts.clear();
      bytes = 0;
    }
    bytes += part.bytes();
    parts.put(list, part);
  }

  /** Whether it is faster to look for each selected document than to read the whole list. */
  private boolean isFewer(DecodedPostings list) {
    int steps = Integer.SIZE - Integer.numberOfLeadingZeros(list.size());
    return (long) docs.length * steps < list.size();
  }

  private Part lookUp(DecodedPostings list) {
    int[] numbers = new int[Math.min(docs.length, list.size())];
    byte[] impacts = new byte[numbers.length];
    int size = 0;
    for (int number = 0; number < docs.length; number++) {
      int impact = list.impactOf(docs[number]);
      if (impact > 0) {
        numbers[size] = number;
        impacts[size++] = (byte) impact;
      }
    }
    return new Part(Arrays.copyOf(numbers, size), Arrays.copyOf(impacts, size));
  }

  private Part scan(DecodedPostings list) {
    int[] numbers = new int[Math.min(docs.length, list.size())];
    byte[] impacts = new byte[numbers.length];
    int size = 0;
    for (int window = 0; window < list.windows.length - 1; window++) {
      int base = window << DecodedPostings.WINDOW;
      for (int i = list.windows[window]; i < list.windows[window + 1]; i++) {
        int doc = base + list.docs[i];
        long word = accepted[doc >> 6];
        if ((word >>> doc & 1) != 0) {
          long before = word & (1L << doc) - 1;
          numbers[size] = ranks[doc >> 6] + Long.bitCount(before);
          impacts[size++] = list.impacts[i];
        }
      }
    }
    return new Part(Arrays.copyOf(numbers, size), Arrays.copyOf(impacts, size));
  }
}
