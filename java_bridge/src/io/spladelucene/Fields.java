package io.spladelucene;

import org.apache.lucene.document.FieldType;
import org.apache.lucene.index.IndexOptions;

/** The three fields of an Anserini impact index, and how the middle one is indexed. */
final class Fields {
  static final String ID = "id";
  static final String CONTENTS = "contents";
  static final String RAW = "raw";

  /** Impacts: documents and frequencies, no positions, norms kept (Anserini's ImpactSimilarity sets each to 1). */
  static final FieldType IMPACTS = new FieldType();

  static {
    IMPACTS.setTokenized(true);
    IMPACTS.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    IMPACTS.freeze();
  }

  private Fields() {}
}
