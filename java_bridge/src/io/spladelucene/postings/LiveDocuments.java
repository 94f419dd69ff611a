package io.spladelucene.postings;

import java.io.IOException;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.util.Bits;

/** The documents of postings that are not deleted. */
public final class LiveDocuments {
  private LiveDocuments() {}

  /**
   * Goes to the next document that is not deleted, and returns it; {@link
   * PostingsEnum#NO_MORE_DOCS} at the end.
   *
   * @param live the documents that are not deleted; {@code null}: all
   */
  public static int next(PostingsEnum postings, Bits live) throws IOException {
    int doc = postings.nextDoc();
    while (live != null && doc != PostingsEnum.NO_MORE_DOCS && !live.get(doc)) {
      doc = postings.nextDoc();
    }
    return doc;
  }
}
