package io.spladelucene.wire;

import java.io.ByteArrayOutputStream;

/** The docids of all documents by lucene_docid, in UTF-8, each followed by a NUL. */
public final class PackedDocids {
  private PackedDocids() {}

  /** Packs the docids of the documents from 0 to {@code maxDoc}, exclusive. */
  public static byte[] pack(Docids docids, int maxDoc) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int doc = 0; doc < maxDoc; doc++) {
      byte[] docid = new byte[docids.length(doc)];
      docids.copy(doc, docid, 0);
      out.writeBytes(docid);
      out.write(0);
    }
    return out.toByteArray();
  }
}
