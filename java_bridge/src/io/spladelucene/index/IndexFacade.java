package io.spladelucene.index;

import io.spladelucene.wire.PackedLists;
import java.io.IOException;
import java.nio.file.Path;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;

/**
 * What Python calls to build, change and read an impact index.
 *
 * <p>Python calls static methods only, which take the object as an argument. Pyjnius keeps the
 * receiver of an instance method in an object that all threads share, so that the call of one
 * thread could reach the index of another.
 */
public final class IndexFacade {
  private IndexFacade() {}

  // ---- building ----

  /** See {@link BulkIndexer}; the files are paths, as {@link PackedLists#readPaths} reads them. */
  public static BulkIndexer startBuild(
      byte[] files,
      String index,
      String store,
      int threads,
      boolean skipBad,
      boolean append,
      String order,
      long memory)
      throws IOException {
    BulkIndexer build =
        new BulkIndexer(
            PackedLists.readPaths(files),
            open(index),
            store,
            threads,
            skipBad,
            append,
            order,
            memory);
    build.start();
    return build;
  }

  /** See {@link BulkIndexer#await}. */
  public static boolean awaitBuild(BulkIndexer build, long millis) throws InterruptedException {
    return build.await(millis);
  }

  /** See {@link BulkIndexer#cancel}. */
  public static void cancelBuild(BulkIndexer build) {
    build.cancel();
  }

  /** See {@link BulkIndexer#documents}. */
  public static long documentsBuilt(BulkIndexer build) {
    return build.documents();
  }

  /** See {@link BulkIndexer#bytesRead}. */
  public static long bytesRead(BulkIndexer build) {
    return build.bytesRead();
  }

  /** See {@link BulkIndexer#result}. */
  public static String buildResult(BulkIndexer build) throws Exception {
    return build.result();
  }

  // ---- changing ----

  /** See {@link ImpactIndexWriter#checkUnlocked}. */
  public static void checkUnlocked(String index) throws IOException {
    try (Directory directory = open(index)) {
      ImpactIndexWriter.checkUnlocked(directory);
    }
  }

  /** See {@link ImpactIndexWriter}. */
  public static ImpactIndexWriter openWriter(String index, boolean append) throws IOException {
    return new ImpactIndexWriter(open(index), append);
  }

  /** See {@link ImpactIndexWriter#put}. */
  public static void put(ImpactIndexWriter writer, byte[] documents) throws IOException {
    writer.put(documents);
  }

  /** See {@link ImpactIndexWriter#delete}. */
  public static void delete(ImpactIndexWriter writer, byte[] docids) throws IOException {
    writer.delete(docids);
  }

  /** See {@link ImpactIndexWriter#merge}. */
  public static void merge(ImpactIndexWriter writer) throws IOException {
    writer.merge();
  }

  /** See {@link ImpactIndexWriter#commit}. */
  public static void commit(ImpactIndexWriter writer) throws IOException {
    writer.commit();
  }

  /** See {@link ImpactIndexWriter#rollback}. */
  public static void rollback(ImpactIndexWriter writer) throws IOException {
    writer.rollback();
  }

  /** See {@link ImpactIndexWriter#close}. */
  public static void closeWriter(ImpactIndexWriter writer) throws IOException {
    writer.close();
  }

  // ---- reading ----

  /** See {@link ImpactIndexReader}. */
  public static ImpactIndexReader openReader(String index) throws IOException {
    return new ImpactIndexReader(open(index));
  }

  /** See {@link ImpactIndexReader#numDocs}. */
  public static int numDocs(ImpactIndexReader reader) {
    return reader.numDocs();
  }

  /** See {@link ImpactIndexReader#maxDoc}. */
  public static int maxDoc(ImpactIndexReader reader) {
    return reader.maxDoc();
  }

  /** See {@link ImpactIndexReader#statistics()}. */
  public static String statistics(ImpactIndexReader reader) throws IOException {
    return reader.statistics();
  }

  /** See {@link ImpactIndexReader#commit}. */
  public static String commitOf(ImpactIndexReader reader) throws IOException {
    return reader.commit();
  }

  /** See {@link ImpactIndexReader#terms()}. */
  public static byte[] terms(ImpactIndexReader reader) throws IOException {
    return reader.terms();
  }

  /** See {@link ImpactIndexReader#postings}. */
  public static byte[] postings(ImpactIndexReader reader, String term) throws IOException {
    return reader.postings(term);
  }

  /** See {@link ImpactIndexReader#allDocids}. */
  public static byte[] allDocids(ImpactIndexReader reader) throws IOException {
    return reader.allDocids();
  }

  /** See {@link ImpactIndexReader#docid}. */
  public static String docid(ImpactIndexReader reader, int luceneDocid) throws IOException {
    return reader.docid(luceneDocid);
  }

  /** See {@link ImpactIndexReader#luceneDocid}. */
  public static int luceneDocid(ImpactIndexReader reader, String docid) throws IOException {
    return reader.luceneDocid(docid);
  }

  /** See {@link ImpactIndexReader#impacts}. */
  public static byte[] impacts(ImpactIndexReader reader, int luceneDocid, byte[] terms)
      throws IOException {
    return reader.impacts(luceneDocid, terms);
  }

  /** See {@link ImpactIndexReader#raw}. */
  public static byte[] raw(ImpactIndexReader reader, byte[] luceneDocids) throws IOException {
    return reader.raw(luceneDocids);
  }

  /** See {@link ImpactIndexReader#accelerate}. */
  public static void accelerate(
      ImpactIndexReader reader, String folder, boolean anew, boolean clear, long bytes)
      throws IOException {
    reader.accelerate(Path.of(folder), anew, clear, bytes);
  }

  /** See {@link ImpactIndexReader#acceleratorNames}. */
  public static String acceleratorNames(ImpactIndexReader reader) {
    return reader.acceleratorNames();
  }

  /** See {@link ImpactIndexReader#close}. */
  public static void closeReader(ImpactIndexReader reader) throws IOException {
    reader.close();
  }

  /** See {@link ImpactIndexReader#check}. */
  public static String check(String index) throws IOException {
    try (Directory directory = open(index)) {
      return ImpactIndexReader.check(directory);
    }
  }

  private static Directory open(String index) throws IOException {
    return FSDirectory.open(Path.of(index));
  }
}
