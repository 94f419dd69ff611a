package io.spladelucene.wire;

import org.apache.lucene.util.BytesRef;

/**
 * Terms with their statistics: long count; per term: int length, UTF-8 bytes, int document
 * frequency, long total term frequency.
 */
public final class PackedTerms {
  private final PackedWriter terms = new PackedWriter();
  private long count = 0;

  /** Adds a term. */
  public void add(BytesRef term, int docFreq, long totalTermFreq) {
    terms.writeBytes(term);
    terms.writeInt(docFreq);
    terms.writeLong(totalTermFreq);
    count++;
  }

  /** The packed terms, in the order in which they were added. */
  public byte[] toByteArray() {
    PackedWriter out = new PackedWriter();
    out.writeLong(count);
    out.writeRaw(terms.toByteArray());
    return out.toByteArray();
  }
}
