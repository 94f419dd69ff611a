package io.spladelucene.wire;

/** The postings of one term: int count; int[count] lucene_docids; int[count] impacts. */
public final class PackedPostings {
  private final PackedWriter documents = new PackedWriter();
  private final PackedWriter impacts = new PackedWriter();
  private int count = 0;

  /** Adds a posting. */
  public void add(int luceneDocid, int impact) {
    documents.writeInt(luceneDocid);
    impacts.writeInt(impact);
    count++;
  }

  /** The packed postings, in the order in which they were added. */
  public byte[] toByteArray() {
    PackedWriter out = new PackedWriter();
    out.writeInt(count);
    out.writeRaw(documents.toByteArray());
    out.writeRaw(impacts.toByteArray());
    return out.toByteArray();
  }
}
