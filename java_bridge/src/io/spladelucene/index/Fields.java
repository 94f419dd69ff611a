package io.spladelucene.index;

import org.apache.lucene.document.FieldType;
import org.apache.lucene.index.IndexOptions;

/** The fields of an index in Anserini's format, and the one that this package adds to it. */
public final class Fields {
  /** The docid: a stored string field, and binary doc values. */
  public static final String ID = "id";

  /** What is searched: terms with their impacts, or with their counts in a text. */
  public static final String CONTENTS = "contents";

  /** The terms of a document's text, for BM25. Only some impact indexes have it. */
  public static final String BM25 = "bm25";

  /** The stored field that keeps a part of the input, if there is any. */
  public static final String RAW = "raw";

  /**
   * How {@link #CONTENTS} and {@link #BM25} are indexed: documents and frequencies, no positions.
   * Norms are kept; those of impacts are all 1, because Anserini's ImpactSimilarity sets them so.
   */
  public static final FieldType FREQUENCIES = new FieldType();

  static {
    FREQUENCIES.setTokenized(true);
    FREQUENCIES.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    FREQUENCIES.freeze();
  }

  private Fields() {}
}
