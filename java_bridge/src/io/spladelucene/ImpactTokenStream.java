package io.spladelucene;

import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.tokenattributes.TermFrequencyAttribute;
import org.apache.lucene.analysis.tokenattributes.TermToBytesRefAttribute;
import org.apache.lucene.util.AttributeImpl;
import org.apache.lucene.util.AttributeReflector;
import org.apache.lucene.util.BytesRef;

/**
 * A sparse vector as a token stream: one token a term, its impact as the term frequency. The postings, norms and
 * statistics equal those of Anserini's text in which each term is repeated impact times.
 */
final class ImpactTokenStream extends TokenStream {
  private final Term term = new Term();
  private final TermFrequencyAttribute frequency;
  private BytesRef[] terms = new BytesRef[0];
  private int[] impacts = new int[0];
  private int size = 0;
  private int position = 0;

  ImpactTokenStream() {
    // Ours first: the implementation that Lucene makes for the frequency would also claim the term.
    addAttributeImpl(term);
    frequency = addAttribute(TermFrequencyAttribute.class);
  }

  /** Sets what the next pass over the stream yields. The arrays are shared, and read up to {@code size}. */
  ImpactTokenStream of(BytesRef[] terms, int[] impacts, int size) {
    this.terms = terms;
    this.impacts = impacts;
    this.size = size;
    this.position = 0;
    return this;
  }

  @Override
  public boolean incrementToken() {
    if (position == size) {
      return false;
    }
    clearAttributes();
    term.bytes = terms[position];
    frequency.setTermFrequency(impacts[position++]);
    return true;
  }

  @Override
  public void reset() {
    position = 0;
  }

  /** The term as the bytes it already is; CharTermAttribute would encode it anew. */
  private static final class Term extends AttributeImpl implements TermToBytesRefAttribute {
    private BytesRef bytes;

    @Override
    public BytesRef getBytesRef() {
      return bytes;
    }

    @Override
    public void clear() {
      bytes = null;
    }

    @Override
    public void reflectWith(AttributeReflector reflector) {
      reflector.reflect(TermToBytesRefAttribute.class, "bytes", bytes);
    }

    @Override
    public void copyTo(AttributeImpl target) {
      ((Term) target).bytes = BytesRef.deepCopyOf(bytes);
    }

    @Override
    public Term clone() {
      Term clone = new Term();
      copyTo(clone);
      return clone;
    }
  }
}
