package io.spladelucene.wire;

import org.apache.lucene.util.BytesRef;

/**
 * The hits of one query on an index of texts: int hits; float[hits] scores; int[hits]
 * lucene_docids; int length, and that many bytes: the docids with a NUL between each two.
 */
public final class PackedBm25Hits {
  private final PackedWriter scores = new PackedWriter();
  private final PackedWriter luceneDocids = new PackedWriter();
  private final PackedWriter docids = new PackedWriter();
  private int count = 0;

  /** Adds the next hit. */
  public void add(float score, int luceneDocid, BytesRef docid) {
    scores.writeInt(Float.floatToIntBits(score));
    luceneDocids.writeInt(luceneDocid);
    if (count > 0) {
      docids.writeRaw(new byte[1]);
    }
    docids.writeRaw(docid);
    count++;
  }

  /** The packed hits. */
  public byte[] toByteArray() {
    PackedWriter out = new PackedWriter();
    out.writeInt(count);
    out.writeRaw(scores.toByteArray());
    out.writeRaw(luceneDocids.toByteArray());
    out.writeInt(docids.size());
    out.writeRaw(docids.toByteArray());
    return out.toByteArray();
  }
}
