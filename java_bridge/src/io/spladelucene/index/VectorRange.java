package io.spladelucene.index;

import io.spladelucene.wire.PackedVectors;
import java.io.IOException;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.MultiBits;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.Bits;

/** The vectors of a range of documents, collected from the postings of all terms. */
final class VectorRange {
  private VectorRange() {}

  /**
   * The vectors of a range of documents. Terms are numbered by their place in {@link
   * ImpactIndexReader#terms()}.
   *
   * @param from the first lucene_docid
   * @param to the end of the range
   * @return as {@link PackedVectors} packs them
   */
  static byte[] of(IndexReader reader, int from, int to) throws IOException {
    Bits live = MultiBits.getLiveDocs(reader);
    PackedVectors vectors = new PackedVectors(from, to);
    for (int doc = from; doc < to && live != null; doc++) {
      if (!live.get(doc)) {
        vectors.delete(doc);
      }
    }
    Terms terms = MultiTerms.getTerms(reader, Fields.CONTENTS);
    TermsEnum each = terms == null ? TermsEnum.EMPTY : terms.iterator();
    PostingsEnum postings = null;
    for (int number = 0; each.next() != null; number++) {
      postings = each.postings(postings, PostingsEnum.FREQS);
      for (int doc = postings.advance(from); doc < to; doc = postings.nextDoc()) {
        if (live == null || live.get(doc)) {
          vectors.add(doc, number, postings.freq());
        }
      }
    }
    return vectors.toByteArray();
  }
}
