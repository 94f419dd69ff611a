package io.spladelucene.index;

import java.io.IOException;
import java.util.Arrays;
import org.apache.lucene.index.BaseTermsEnum;
import org.apache.lucene.index.ImpactsEnum;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.SlowImpactsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * The terms of a field without positions, as Lucene sees them: a sorted array, in which a term is
 * known by its rank from 0. A subclass has the statistics and the postings.
 */
abstract class SortedTerms extends Terms {
  private final BytesRef[] terms;
  private final boolean hasFreqs;

  /** Shares the array, which is in byte order. */
  SortedTerms(BytesRef[] terms, boolean hasFreqs) {
    this.terms = terms;
    this.hasFreqs = hasFreqs;
  }

  /** The number of documents that have a term. */
  abstract int docFreq(int rank);

  /** The sum of a term's frequencies. */
  abstract long totalTermFreq(int rank);

  /** The postings of a term, before the first one. */
  abstract PostingsEnum postings(int rank);

  @Override
  public TermsEnum iterator() {
    return new SortedTermsEnum();
  }

  @Override
  public long size() {
    return terms.length;
  }

  @Override
  public boolean hasFreqs() {
    return hasFreqs;
  }

  @Override
  public boolean hasOffsets() {
    return false;
  }

  @Override
  public boolean hasPositions() {
    return false;
  }

  @Override
  public boolean hasPayloads() {
    return false;
  }

  private final class SortedTermsEnum extends BaseTermsEnum {
    private int rank = -1;

    @Override
    public BytesRef next() {
      return ++rank < terms.length ? terms[rank] : null;
    }

    @Override
    public SeekStatus seekCeil(BytesRef text) {
      int at = Arrays.binarySearch(terms, text);
      rank = at >= 0 ? at : -at - 1;
      if (at >= 0) {
        return SeekStatus.FOUND;
      }
      return rank == terms.length ? SeekStatus.END : SeekStatus.NOT_FOUND;
    }

    @Override
    public void seekExact(long ord) {
      rank = (int) ord;
    }

    @Override
    public BytesRef term() {
      return terms[rank];
    }

    @Override
    public long ord() {
      return rank;
    }

    @Override
    public int docFreq() {
      return SortedTerms.this.docFreq(rank);
    }

    @Override
    public long totalTermFreq() {
      return SortedTerms.this.totalTermFreq(rank);
    }

    @Override
    public PostingsEnum postings(PostingsEnum reuse, int flags) {
      return SortedTerms.this.postings(rank);
    }

    @Override
    public ImpactsEnum impacts(int flags) throws IOException {
      return new SlowImpactsEnum(postings(null, flags));
    }
  }

  /** Postings without positions, which are read in order. */
  abstract static class SequentialPostings extends PostingsEnum {
    /** The current document: -1 at first, {@link #NO_MORE_DOCS} at the end. */
    protected int doc = -1;

    @Override
    public int docID() {
      return doc;
    }

    @Override
    public int advance(int target) throws IOException {
      return slowAdvance(target);
    }

    @Override
    public int nextPosition() {
      return -1;
    }

    @Override
    public int startOffset() {
      return -1;
    }

    @Override
    public int endOffset() {
      return -1;
    }

    @Override
    public BytesRef getPayload() {
      return null;
    }
  }
}
