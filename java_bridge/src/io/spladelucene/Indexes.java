package io.spladelucene;

import io.anserini.search.similarity.ImpactSimilarity;
import java.io.IOException;
import java.nio.file.Path;
import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LogDocMergePolicy;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/** How an index is opened for writing, and how one document of it is made: the only place that decides either. */
final class Indexes {
  private Indexes() {}

  static IndexWriterConfig config(boolean append) {
    IndexWriterConfig config = new IndexWriterConfig();
    config.setSimilarity(new ImpactSimilarity());
    config.setOpenMode(append ? IndexWriterConfig.OpenMode.APPEND : IndexWriterConfig.OpenMode.CREATE);
    config.setUseCompoundFile(false);
    config.setMergePolicy(new LogDocMergePolicy()); // merges neighbours only: documents stay in input order
    return config;
  }

  static IndexWriter writer(Path index, boolean append) throws IOException {
    return writer(FSDirectory.open(index), append);
  }

  static IndexWriter writer(Directory directory, boolean append) throws IOException {
    return new IndexWriter(directory, config(append));
  }

  /** A document in Anserini's shape; {@code raw} may be {@code null}. */
  static Document document(String docid, ImpactTokenStream impacts, String raw) {
    Document document = new Document();
    document.add(new StringField(Fields.ID, docid, Field.Store.YES));
    document.add(new BinaryDocValuesField(Fields.ID, new BytesRef(docid)));
    if (raw != null) {
      document.add(new StoredField(Fields.RAW, raw));
    }
    document.add(new Field(Fields.CONTENTS, impacts, Fields.IMPACTS));
    return document;
  }
}
