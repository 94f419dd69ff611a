package io.spladelucene;

import io.anserini.analysis.DefaultEnglishAnalyzer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/**
 * Writes an index of texts, a packed batch at a time, in the shape in which Anserini's IndexCollection writes a
 * JsonCollection: Anserini's English analyzer, frequencies without positions, lengths as norms.
 */
public final class Bm25Writer {
  private static final FieldType COUNTS = new FieldType();

  static {
    COUNTS.setTokenized(true);
    COUNTS.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    COUNTS.freeze();
  }

  private final Directory directory;
  private final IndexWriter writer;
  private final ThreadPoolExecutor pool; // null: the calling thread does all, so that documents stay in order
  private final Deque<Future<Void>> pending = new ArrayDeque<>();

  public Bm25Writer(String index, int threads) throws IOException {
    IndexWriterConfig config = new IndexWriterConfig(DefaultEnglishAnalyzer.newDefaultInstance());
    config.setOpenMode(IndexWriterConfig.OpenMode.CREATE);
    config.setRAMBufferSizeMB(Math.min(1024, Math.max(16, (Runtime.getRuntime().maxMemory() >> 20) / 8)));
    directory = FSDirectory.open(Path.of(index));
    writer = new IndexWriter(directory, config);
    pool = threads == 1 ? null : newPool(threads);
  }

  private static ThreadPoolExecutor newPool(int threads) {
    return new ThreadPoolExecutor(threads, threads, 0, TimeUnit.SECONDS, new ArrayBlockingQueue<>(2 * threads), task -> {
      Thread thread = new Thread(task, "bm25-writer");
      thread.setDaemon(true);
      return thread;
    });
  }

  /**
   * Takes some documents; waits while the threads have enough to do. What failed in an earlier batch is thrown here.
   *
   * @param batch int count; per document: docid, raw (length -1: none), text
   */
  public void add(byte[] batch) throws Exception {
    if (pool == null) {
      write(batch);
      return;
    }
    while (!pending.isEmpty() && (pending.peek().isDone() || pending.size() >= 2 * pool.getCorePoolSize())) {
      await(pending.remove());
    }
    pending.add(pool.submit(() -> {
      write(batch);
      return null;
    }));
  }

  private void write(byte[] batch) throws IOException {
    Packed in = new Packed(batch);
    for (int left = in.readInt(); left > 0; left--) {
      String docid = in.readString();
      String raw = in.readString();
      Document document = new Document();
      document.add(new StringField(Fields.ID, docid, Field.Store.YES));
      document.add(new BinaryDocValuesField(Fields.ID, new BytesRef(docid)));
      if (raw != null) {
        document.add(new StoredField(Fields.RAW, raw));
      }
      document.add(new Field(Fields.CONTENTS, in.readString(), COUNTS));
      writer.addDocument(document);
    }
  }

  private static void await(Future<Void> batch) throws Exception {
    try {
      batch.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
  }

  /** Writes everything and closes; returns a docid that more than one document has, {@code null} if there is none. */
  public String finish() throws Exception {
    while (!pending.isEmpty()) {
      await(pending.remove());
    }
    writer.close();
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      Terms docids = MultiTerms.getTerms(reader, Fields.ID);
      if (docids != null) {
        TermsEnum each = docids.iterator();
        while (each.next() != null) {
          if (each.docFreq() > 1) {
            return each.term().utf8ToString();
          }
        }
      }
    } finally {
      release();
    }
    return null;
  }

  /** Ends the work and drops all documents. */
  public void rollback() throws Exception {
    if (pool != null) {
      pool.getQueue().clear(); // no interrupts: they would close the files under Lucene's hands
      pool.shutdown();
      pool.awaitTermination(60, TimeUnit.SECONDS);
    }
    writer.rollback();
    release();
  }

  private void release() throws IOException {
    if (pool != null) {
      pool.shutdown();
    }
    directory.close();
  }
}
