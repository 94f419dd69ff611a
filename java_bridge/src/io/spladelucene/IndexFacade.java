package io.spladelucene;

import java.io.IOException;

/**
 * All that Python calls to build, change and read an impact index.
 *
 * <p>Python reaches Java through static methods alone, which take the object as an argument: pyjnius keeps the receiver
 * of an instance method in an object that all threads share, so that one thread's call could reach another's index.
 */
public final class IndexFacade {
  private IndexFacade() {}

  // ---- building ----

  public static BulkIndexer startBuild(
      byte[] files, String index, String store, int threads, boolean skipBad, boolean append, String order, long memory)
      throws IOException {
    BulkIndexer build = new BulkIndexer(files, index, store, threads, skipBad, append, order, memory);
    build.start();
    return build;
  }

  public static boolean awaitBuild(BulkIndexer build, long millis) throws InterruptedException {
    return build.await(millis);
  }

  public static void cancelBuild(BulkIndexer build) {
    build.cancel();
  }

  public static String buildStage(BulkIndexer build) {
    return build.stage();
  }

  public static long documentsBuilt(BulkIndexer build) {
    return build.documents();
  }

  public static long bytesRead(BulkIndexer build) {
    return build.bytesRead();
  }

  public static String buildResult(BulkIndexer build) throws Exception {
    return build.result();
  }

  // ---- changing ----

  public static void checkUnlocked(String index) throws IOException {
    ImpactIndexWriter.checkUnlocked(index);
  }

  public static ImpactIndexWriter openWriter(String index, boolean append) throws IOException {
    return new ImpactIndexWriter(index, append);
  }

  public static void put(ImpactIndexWriter writer, byte[] documents) throws IOException {
    writer.put(documents);
  }

  public static void delete(ImpactIndexWriter writer, byte[] docids) throws IOException {
    writer.delete(docids);
  }

  public static void merge(ImpactIndexWriter writer) throws IOException {
    writer.merge();
  }

  public static void commit(ImpactIndexWriter writer) throws IOException {
    writer.commit();
  }

  public static void rollback(ImpactIndexWriter writer) throws IOException {
    writer.rollback();
  }

  public static void closeWriter(ImpactIndexWriter writer) throws IOException {
    writer.close();
  }

  // ---- reading ----

  public static ImpactIndexReader openReader(String index) throws IOException {
    return new ImpactIndexReader(index);
  }

  public static int numDocs(ImpactIndexReader reader) {
    return reader.numDocs();
  }

  public static int maxDoc(ImpactIndexReader reader) {
    return reader.maxDoc();
  }

  public static String statistics(ImpactIndexReader reader) throws IOException {
    return reader.statistics();
  }

  public static String commitOf(ImpactIndexReader reader) throws IOException {
    return reader.commit();
  }

  public static byte[] terms(ImpactIndexReader reader) throws IOException {
    return reader.terms();
  }

  public static byte[] postings(ImpactIndexReader reader, String term) throws IOException {
    return reader.postings(term);
  }

  public static byte[] allDocids(ImpactIndexReader reader) throws IOException {
    return reader.allDocids();
  }

  public static String docid(ImpactIndexReader reader, int luceneDocid) throws IOException {
    return reader.docid(luceneDocid);
  }

  public static int luceneDocid(ImpactIndexReader reader, String docid) throws IOException {
    return reader.luceneDocid(docid);
  }

  public static byte[] impacts(ImpactIndexReader reader, int luceneDocid, byte[] terms) throws IOException {
    return reader.impacts(luceneDocid, terms);
  }

  public static byte[] raw(ImpactIndexReader reader, byte[] luceneDocids) throws IOException {
    return reader.raw(luceneDocids);
  }

  public static void accelerate(ImpactIndexReader reader, String folder, boolean anew, boolean clear, long bytes)
      throws IOException {
    reader.accelerate(folder, anew, clear, bytes);
  }

  public static String acceleratorNames(ImpactIndexReader reader) {
    return reader.acceleratorNames();
  }

  public static void closeReader(ImpactIndexReader reader) throws IOException {
    reader.close();
  }

  public static String check(String index) throws IOException {
    return ImpactIndexReader.check(index);
  }
}
