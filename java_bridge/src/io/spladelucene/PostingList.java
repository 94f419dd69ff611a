package io.spladelucene;

import java.io.IOException;
import org.apache.lucene.index.PostingsEnum;

/** A query term's postings, read window by window. */
abstract class PostingList {
  protected final int queryImpact;

  PostingList(int queryImpact) {
    this.queryImpact = queryImpact;
  }

  /** The next document, {@code NO_MORE_DOCS} at the end. */
  abstract int doc();

  /**
   * Adds the postings of documents below {@code end} to the sums.
   *
   * @param base the document of {@code sums[0]}
   * @return the last document added to, -1 if there was none
   */
  abstract int addTo(long[] sums, int base, int end) throws IOException;

  static PostingList of(PostingsCache.Decoded decoded, int queryImpact) {
    return new PostingList(queryImpact) {
      private final int[] docs = decoded.docs();
      private final int[] impacts = decoded.impacts();
      private int at = 0;

      @Override
      int doc() {
        return at < docs.length ? docs[at] : PostingsEnum.NO_MORE_DOCS;
      }

      @Override
      int addTo(long[] sums, int base, int end) {
        int i = at;
        for (; i < docs.length && docs[i] < end; i++) {
          sums[docs[i] - base] += (long) queryImpact * impacts[i];
        }
        int last = i > at ? docs[i - 1] : -1;
        at = i;
        return last;
      }
    };
  }

  static PostingList of(PostingsEnum postings, int queryImpact) throws IOException {
    postings.nextDoc();
    return new PostingList(queryImpact) {
      @Override
      int doc() {
        return postings.docID();
      }

      @Override
      int addTo(long[] sums, int base, int end) throws IOException {
        int last = -1;
        int doc = postings.docID();
        while (doc < end) {
          last = doc;
          sums[doc - base] += (long) queryImpact * postings.freq();
          doc = postings.nextDoc();
        }
        return last;
      }
    };
  }
}
