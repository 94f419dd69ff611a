package io.spladelucene.search;

import java.io.IOException;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.Impacts;
import org.apache.lucene.index.ImpactsEnum;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.FixedBitSet;

/**
 * The terms of a field, whose postings skip documents that are not accepted if those that are
 * accepted are few. Statistics are those of all documents. Other postings, of rare terms, still
 * have documents that are not accepted: the caller checks each.
 */
final class AcceptedTerms extends FilterLeafReader.FilterTerms {
  // Skipping to an accepted document takes as long as reading about so many postings.
  private static final int SKIP = 8;

  private final FixedBitSet accepted;
  private final int count;

  /**
   * Presents the terms of a segment.
   *
   * @param count the number of accepted documents
   */
  AcceptedTerms(Terms in, FixedBitSet accepted, int count) {
    super(in);
    this.accepted = accepted;
    this.count = count;
  }

  @Override
  public TermsEnum iterator() throws IOException {
    return new SkippingTermsEnum(in.iterator());
  }

  private final class SkippingTermsEnum extends FilterLeafReader.FilterTermsEnum {
    SkippingTermsEnum(TermsEnum in) {
      super(in);
    }

    private boolean skips() throws IOException {
      return (long) count * SKIP <= in.docFreq();
    }

    @Override
    public PostingsEnum postings(PostingsEnum reuse, int flags) throws IOException {
      return skips() ? new Skipping(in.postings(null, flags), null) : in.postings(reuse, flags);
    }

    @Override
    public ImpactsEnum impacts(int flags) throws IOException {
      ImpactsEnum postings = in.impacts(flags);
      return skips() ? new Skipping(postings, postings) : postings;
    }
  }

  /** The postings of accepted documents. The impacts are bounds for all documents. */
  private final class Skipping extends ImpactsEnum {
    private final PostingsEnum in;
    private final ImpactsEnum bounds; // null: they are not asked for

    Skipping(PostingsEnum in, ImpactsEnum bounds) {
      this.in = in;
      this.bounds = bounds;
    }

    @Override
    public int docID() {
      return in.docID();
    }

    @Override
    public int nextDoc() throws IOException {
      return advance(in.docID() + 1);
    }

    @Override
    public int advance(int target) throws IOException {
      int from = target;
      while (true) {
        int next = from < accepted.length() ? accepted.nextSetBit(from) : NO_MORE_DOCS;
        int found = in.advance(next);
        if (found == NO_MORE_DOCS || accepted.get(found)) {
          return found;
        }
        from = found + 1;
      }
    }

    @Override
    public long cost() {
      return count;
    }

    @Override
    public int freq() throws IOException {
      return in.freq();
    }

    @Override
    public void advanceShallow(int target) throws IOException {
      bounds.advanceShallow(target);
    }

    @Override
    public Impacts getImpacts() throws IOException {
      return bounds.getImpacts();
    }

    @Override
    public int nextPosition() throws IOException {
      return in.nextPosition();
    }

    @Override
    public int startOffset() throws IOException {
      return in.startOffset();
    }

    @Override
    public int endOffset() throws IOException {
      return in.endOffset();
    }

    @Override
    public BytesRef getPayload() throws IOException {
      return in.getPayload();
    }
  }
}
