package io.spladelucene;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.index.PostingsEnum;

/**
 * Adds up all postings straight from Lucene, with sums of 64 bits: for lists that are too long to be kept decoded, and for
 * impacts beyond the bounds of the other engines. Nothing is too large for it.
 */
final class StreamedSearch {
  private static final int WINDOW = 1 << 13; // 64 KiB of sums

  /** A term's postings, on their first document. */
  record Stream(PostingsEnum postings, int queryImpact) {
    /** What the term adds to a document; those asked for ascend. */
    long impactOf(int doc) throws IOException {
      int at = postings.docID() < doc ? postings.advance(doc) : postings.docID();
      return at == doc ? (long) queryImpact * postings.freq() : 0;
    }
  }

  private final long[] sums = new long[WINDOW];

  void search(List<Stream> streams, QueryLists lists, TopHits top) throws IOException {
    while (true) {
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
