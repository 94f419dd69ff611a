package io.spladelucene.wire;

/** The docids of an index, in UTF-8, by lucene_docid. */
public interface Docids {
  /** The number of bytes of a docid. */
  int length(int luceneDocid);

  /** Copies a docid to {@code target}, from {@code at} on; returns the position after it. */
  int copy(int luceneDocid, byte[] target, int at);
}
