package io.spladelucene.index;

import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.tokenattributes.TermFrequencyAttribute;
import org.apache.lucene.analysis.tokenattributes.TermToBytesRefAttribute;
import org.apache.lucene.util.AttributeImpl;
import org.apache.lucene.util.AttributeReflector;
import org.apache.lucene.util.BytesRef;

/**
 * A sparse vector as a token stream: one token for each term, with its impact as the term
 * frequency. Postings, norms and statistics are the same as for Anserini's text, in which each term
 * occurs as many times as its impact says.
 */
final class ImpactTokenStream extends TokenStream {
  private final Term term = new Term();
  private final TermFrequencyAttribute frequency;
  private BytesRef[] terms = new BytesRef[0];
  private int[] impacts = new int[0];
  private int size = 0;
  private int position = 0;

  ImpactTokenStream() {
    // This one first: Lucene's default implementation of the frequency also has the term.
    addAttributeImpl(term);
    frequency = addAttribute(TermFrequencyAttribute.class);
  }

  /**
   * Sets the vector of the next pass: the first {@code size} elements of arrays that are shared.
   */
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

  /** The term as UTF-8, which it already is; CharTermAttribute would encode it once more. */
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
