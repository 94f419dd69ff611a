package io.spladelucene.search;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.index.PostingsEnum;

/**
 * Scores all documents with postings that are read from Lucene, and sums of 64 bits. It is for what
 * the other engines cannot do: lists that are too long for the cache, and scores that do not fit
 * into an int.
 */
final class StreamedSearch {
  private static final int WINDOW = 1 << 13; // 64 KiB of sums

  /** The postings of a term, positioned on a document. */
  record Stream(PostingsEnum postings, int queryImpact) {
    /** What the term adds to the score of a document. Must be called for ascending documents. */
    long impactOf(int doc) throws IOException {
      int at = postings.docID() < doc ? postings.advance(doc) : postings.docID();
      return at == doc ? (long) queryImpact * postings.freq() : 0;
    }
  }

  private final long[] sums = new long[WINDOW];

  /**
   * Searches a segment.
   *
   * @param streams the postings, each on its first document
   * @param lists says which documents are accepted; has no postings
   */
  void search(List<Stream> streams, QueryLists lists, TopHits top) throws IOException {
    while (true) {
      lists.cancellation.check();
      int first = PostingsEnum.NO_MORE_DOCS;
      for (Stream stream : streams) {
        first = Math.min(first, stream.postings.docID());
      }
      if (first == PostingsEnum.NO_MORE_DOCS) {
        return;
      }
      int end = (int) Math.min((long) first + WINDOW, PostingsEnum.NO_MORE_DOCS);
      int last = first;
      for (Stream stream : streams) {
        for (int doc = stream.postings.docID(); doc < end; doc = stream.postings.nextDoc()) {
          sums[doc - first] += (long) stream.queryImpact * stream.postings.freq();
          last = Math.max(last, doc);
        }
      }
      collect(first, last - first + 1, lists, top);
    }
  }

  private void collect(int base, int length, QueryLists lists, TopHits top) {
    long threshold = top.threshold();
    for (int i = 0; i < length; i++) {
      if (sums[i] >= threshold && lists.accepts(base + i)) {
        top.offer(sums[i], lists.docBase + base + i);
        threshold = top.threshold();
      }
    }
    Arrays.fill(sums, 0, length, 0);
  }
}
