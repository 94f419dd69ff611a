package io.spladelucene;

import java.io.IOException;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.TermsEnum;

/** Decodes lists of Lucene's. */
final class PostingsReader {
  private PostingsEnum postings;

  /** Decodes the list that the enumeration stands on. */
  ImpactPlanes read(TermsEnum at, int maxDoc, int docFreq) throws IOException {
    int[] docs = new int[at.docFreq()];
    int[] impacts = new int[docs.length];
    postings = at.postings(postings, PostingsEnum.FREQS);
    int count = 0;
    for (int doc = postings.nextDoc(); doc != PostingsEnum.NO_MORE_DOCS; doc = postings.nextDoc()) {
      docs[count] = doc;
      impacts[count++] = postings.freq();
    }
    return ImpactPlanes.of(docs, impacts, count, maxDoc, docFreq);
  }
}
