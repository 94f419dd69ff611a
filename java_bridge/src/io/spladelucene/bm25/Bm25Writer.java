package io.spladelucene.bm25;

import io.spladelucene.index.AnseriniFormat;
import io.spladelucene.index.Fields;
import io.spladelucene.wire.PackedDocuments;
import io.spladelucene.wire.TextDocument;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.Directory;

/**
 * Writes an index of texts, a packed batch at a time, as Anserini's IndexCollection writes a
 * JsonCollection: with Anserini's English analyzer, frequencies without positions, and lengths as
 * norms. An index that existed before is replaced.
 *
 * <p>{@link #finish} or {@link #rollback} ends the work.
 */
public final class Bm25Writer {
  private final Directory directory;
  private final IndexWriter writer;
  private final ThreadPoolExecutor pool; // null: the calling thread does the work
  private final Deque<Future<Void>> pending = new ArrayDeque<>();

  /**
   * Opens an index for writing.
   *
   * @param index closed at the end
   * @param threads with 1, documents stay in input order
   */
  public Bm25Writer(Directory index, int threads) throws IOException {
    IndexWriterConfig config = new IndexWriterConfig(AnseriniFormat.ANALYZER);
    config.setOpenMode(IndexWriterConfig.OpenMode.CREATE);
    long megabytes = (Runtime.getRuntime().maxMemory() >> 20) / 8;
    config.setRAMBufferSizeMB(Math.clamp(megabytes, 16, 1024));
    directory = index;
    writer = new IndexWriter(directory, config);
    pool = threads == 1 ? null : newPool(threads);
  }

  private static ThreadPoolExecutor newPool(int threads) {
    return new ThreadPoolExecutor(
        threads,
        threads,
        0,
        TimeUnit.SECONDS,
        new ArrayBlockingQueue<>(2 * threads),
        task -> {
          Thread thread = new Thread(task, "bm25-writer");
          thread.setDaemon(true);
          return thread;
        });
  }

  /**
   * Adds documents. Waits while all threads are busy and their queue is full.
   *
   * @param documents as {@link PackedDocuments#readTextDocuments} reads them
   * @throws Exception if this batch failed, or an earlier one
   */
  public void add(byte[] documents) throws Exception {
    if (pool == null) {
      write(documents);
      return;
    }
    while (!pending.isEmpty()
        && (pending.peek().isDone() || pending.size() >= 2 * pool.getCorePoolSize())) {
      await(pending.remove());
    }
    pending.add(
        pool.submit(
            () -> {
              write(documents);
              return null;
            }));
  }

  private void write(byte[] documents) throws IOException {
    for (TextDocument each : PackedDocuments.readTextDocuments(documents)) {
      writer.addDocument(AnseriniFormat.textDocument(each.docid(), each.text(), each.raw()));
    }
  }

  private static void await(Future<Void> batch) throws Exception {
    try {
      batch.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
  }

  /**
   * Commits all documents and closes the index.
   *
   * @return a docid of more than one document; {@code null} if there is none
   */
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

  /** Drops all documents and closes the index. */
  public void rollback() throws Exception {
    if (pool != null) {
      // Not shutdownNow: an interrupt would close the files that Lucene is writing.
      pool.getQueue().clear();
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
