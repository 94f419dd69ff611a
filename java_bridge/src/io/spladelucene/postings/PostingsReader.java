package io.spladelucene.postings;

import java.io.IOException;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.TermsEnum;

/** Decodes postings lists of Lucene. Reuses its enumeration, so it is for one thread. */
public final class PostingsReader {
  private PostingsEnum postings;

  /**
   * Decodes the postings of the term on which an enumeration is positioned.
   *
   * @param maxDoc of the segment
   */
  public ImpactPlanes read(TermsEnum term, int maxDoc) throws IOException {
    int[] docs = new int[term.docFreq()];
    int[] impacts = new int[docs.length];
    postings = term.postings(postings, PostingsEnum.FREQS);
    int count = 0;
    for (int doc = postings.nextDoc(); doc != PostingsEnum.NO_MORE_DOCS; doc = postings.nextDoc()) {
      docs[count] = doc;
      impacts[count++] = postings.freq();
    }
    return ImpactPlanes.of(docs, impacts, count, maxDoc);
  }
}
