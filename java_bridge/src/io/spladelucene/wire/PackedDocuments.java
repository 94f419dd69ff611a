package io.spladelucene.wire;

import org.apache.lucene.util.BytesRef;

/** Batches of documents to be indexed. A text or a docid is an int length and UTF-8 bytes. */
public final class PackedDocuments {
  private PackedDocuments() {}

  /**
   * Reads documents of an impact index.
   *
   * @param batch int count; per document: docid, raw and text (length -1: none), int terms; per
   *     term: int impact, term; the values of its fields as bytes (length -1: none)
   */
  public static Iterable<ImpactDocument> readImpactDocuments(byte[] batch) {
    return PackedReader.records(batch, PackedDocuments::readImpactDocument);
  }

  private static ImpactDocument readImpactDocument(PackedReader in) {
    String docid = in.readString();
    String raw = in.readString();
    String text = in.readString();
    int size = in.readInt();
    BytesRef[] terms = new BytesRef[size];
    int[] impacts = new int[size];
    for (int i = 0; i < size; i++) {
      impacts[i] = in.readInt();
      terms[i] = in.readBytes();
    }
    return new ImpactDocument(docid, raw, text, terms, impacts, in.readBytes());
  }

  /**
   * Reads documents of an index of texts.
   *
   * @param batch int count; per document: docid, raw (length -1: none), text
   */
  public static Iterable<TextDocument> readTextDocuments(byte[] batch) {
    return PackedReader.records(
        batch, in -> new TextDocument(in.readString(), in.readString(), in.readString()));
  }
}
