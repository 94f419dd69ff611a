package io.spladelucene.index;

import io.anserini.analysis.DefaultEnglishAnalyzer;
import io.anserini.search.similarity.ImpactSimilarity;
import java.io.IOException;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.IndexableField;
import org.apache.lucene.index.LogDocMergePolicy;
import org.apache.lucene.index.SerialMergeScheduler;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.search.similarities.PerFieldSimilarityWrapper;
import org.apache.lucene.search.similarities.Similarity;
import org.apache.lucene.store.Directory;
import org.apache.lucene.util.BytesRef;

/**
 * The format of Anserini's indexes: the fields of a document, and how an impact index is opened for
 * writing. No other class decides either.
 */
public final class AnseriniFormat {
  /** What splits texts into terms: Anserini's English analyzer, for any number of threads. */
  public static final Analyzer ANALYZER = DefaultEnglishAnalyzer.newDefaultInstance();

  /** What computes norms: those of impacts are 1, those of texts their lengths. */
  private static final Similarity NORMS =
      new PerFieldSimilarityWrapper() {
        private final Similarity impacts = new ImpactSimilarity();
        private final Similarity texts = new BM25Similarity();

        @Override
        public Similarity get(String field) {
          return field.equals(Fields.BM25) ? texts : impacts;
        }
      };

  private AnseriniFormat() {}

  /**
   * The configuration with which impact indexes are written.
   *
   * @param append whether to open an existing index; otherwise what is there is replaced
   */
  static IndexWriterConfig config(boolean append) {
    IndexWriterConfig config = new IndexWriterConfig(ANALYZER);
    config.setSimilarity(NORMS);
    config.setOpenMode(
        append ? IndexWriterConfig.OpenMode.APPEND : IndexWriterConfig.OpenMode.CREATE);
    config.setUseCompoundFile(false);
    // Merges adjacent segments only, so documents stay in input order.
    LogDocMergePolicy merges = new LogDocMergePolicy();
    merges.setNoCFSRatio(0); // a compound file would be a second copy of all that is added
    config.setMergePolicy(merges);
    return config;
  }

  /**
   * The configuration of a new index that takes over segments of others. The thread that writes
   * merges them itself, so that it gets an error where it happens.
   *
   * @param createdMajor the version of Lucene that created the others
   */
  static IndexWriterConfig configForSegments(int createdMajor) {
    IndexWriterConfig config = config(false);
    config.setMergeScheduler(new SerialMergeScheduler());
    return config.setIndexCreatedVersionMajor(createdMajor);
  }

  /** Opens an impact index for writing, with {@link #config}. */
  static IndexWriter openWriter(Directory directory, boolean append) throws IOException {
    return new IndexWriter(directory, config(append));
  }

  /**
   * A document of an impact index.
   *
   * @param raw {@code null} if nothing is stored
   * @param text for BM25; {@code null} if the index has no such field
   */
  static Document impactDocument(String docid, ImpactTokenStream impacts, String raw, String text) {
    Document document =
        document(docid, raw, new Field(Fields.CONTENTS, impacts, Fields.FREQUENCIES));
    if (text != null) {
      document.add(new Field(Fields.BM25, text, Fields.FREQUENCIES));
    }
    return document;
  }

  /** A document of an index of texts. {@code raw} may be {@code null}. */
  public static Document textDocument(String docid, String text, String raw) {
    return document(docid, raw, new Field(Fields.CONTENTS, text, Fields.FREQUENCIES));
  }

  private static Document document(String docid, String raw, IndexableField contents) {
    Document document = new Document();
    document.add(new StringField(Fields.ID, docid, Field.Store.YES));
    document.add(new BinaryDocValuesField(Fields.ID, new BytesRef(docid)));
    if (raw != null) {
      document.add(new StoredField(Fields.RAW, raw));
    }
    document.add(contents);
    return document;
  }
}
