package io.spladelucene.index;

import io.spladelucene.fields.FieldSchema;
import io.spladelucene.fields.StoredValues;
import io.spladelucene.wire.PackedLists;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.BooleanSupplier;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.store.Lock;

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

  /**
   * See {@link BulkIndexer}; the files are paths, as {@link PackedLists#readPaths} reads them.
   *
   * @param fields as {@link FieldSchema#read} reads them
   * @param bm25 whether texts are indexed for BM25, too
   */
  public static BulkIndexer startBuild(
      byte[] files,
      String index,
      String store,
      int threads,
      boolean skipBad,
      boolean append,
      boolean replace,
      String order,
      long memory,
      byte[] fields,
      boolean bm25)
      throws IOException {
    BulkIndexer build =
        new BulkIndexer(
            PackedLists.readPaths(files),
            open(index),
            store,
            threads,
            skipBad,
            append,
            replace,
            order,
            memory,
            FieldSchema.read(fields),
            bm25);
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

  /** See {@link BulkIndexer#writer}. */
  public static ImpactIndexWriter writerOf(BulkIndexer build) {
    return build.writer();
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

  /** See {@link ImpactIndexWriter#declare}; the fields as {@link FieldSchema#read} reads them. */
  public static void declareFields(ImpactIndexWriter writer, byte[] fields) {
    writer.declare(FieldSchema.read(fields));
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

  /** See {@link ImpactIndexWriter#optimize}. */
  public static void optimize(ImpactIndexWriter writer, int threads, long memory)
      throws IOException {
    writer.optimize(threads, memory);
  }

  /** See {@link ImpactIndexWriter#before}. */
  public static byte[] before(ImpactIndexWriter writer) {
    return writer.before();
  }

  /** See {@link ImpactIndexWriter#held}. */
  public static byte[] held(ImpactIndexWriter writer, byte[] docids) throws IOException {
    return writer.held(docids);
  }

  /** See {@link ImpactIndexWriter#prepare}. */
  public static byte[] prepare(ImpactIndexWriter writer) throws IOException {
    return writer.prepare();
  }

  /** See {@link ImpactIndexWriter#commit}. */
  public static boolean commit(ImpactIndexWriter writer, byte[] manifest) throws IOException {
    return writer.commit(manifest);
  }

  /** See {@link ImpactIndexWriter#rollback}. */
  public static void rollback(ImpactIndexWriter writer) throws IOException {
    writer.rollback();
  }

  /** Takes the lock of a writer; see {@link #unlock}. */
  public static Lock lock(String index) throws IOException {
    return open(index).obtainLock(IndexWriter.WRITE_LOCK_NAME);
  }

  /** Releases a lock, whatever the folder of the index is called now. */
  public static void unlock(Lock lock) throws IOException {
    lock.close();
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
    return reader.use(() -> reader.statistics());
  }

  /** See {@link ImpactIndexReader#luceneVersion}. */
  public static String luceneVersion(ImpactIndexReader reader) {
    return reader.luceneVersion();
  }

  /** See {@link ImpactIndexReader#commit}. */
  public static byte[] commitOf(ImpactIndexReader reader) {
    return reader.commit();
  }

  /** The last commit of an index, as {@link ImpactIndexReader#commit}. */
  public static byte[] lastCommit(String index) throws IOException {
    try (Directory directory = open(index)) {
      return Commits.pack(SegmentInfos.readLatestCommit(directory));
    }
  }

  /** See {@link ImpactIndexReader#refreshed}. */
  public static ImpactIndexReader refreshed(ImpactIndexReader reader) throws IOException {
    return reader.use(reader::refreshed);
  }

  /** See {@link ImpactIndexReader#terms()}. */
  public static byte[] terms(ImpactIndexReader reader) throws IOException {
    return reader.use(() -> reader.terms());
  }

  /** See {@link ImpactIndexReader#postings}. */
  public static byte[] postings(ImpactIndexReader reader, String term) throws IOException {
    return reader.use(() -> reader.postings(term));
  }

  /** See {@link ImpactIndexReader#allDocids}. */
  public static byte[] allDocids(ImpactIndexReader reader) throws IOException {
    return reader.use(() -> reader.allDocids());
  }

  /** See {@link ImpactIndexReader#docid}. */
  public static String docid(ImpactIndexReader reader, int luceneDocid) throws IOException {
    return reader.use(() -> reader.docid(luceneDocid));
  }

  /** See {@link ImpactIndexReader#luceneDocid}. */
  public static int luceneDocid(ImpactIndexReader reader, String docid) throws IOException {
    return reader.use(() -> reader.luceneDocid(docid));
  }

  /** See {@link ImpactIndexReader#held}. */
  public static byte[] heldBy(ImpactIndexReader reader, byte[] docids) throws IOException {
    return reader.use(() -> reader.held(docids));
  }

  /** See {@link ImpactIndexReader#impacts}. */
  public static byte[] impacts(ImpactIndexReader reader, int luceneDocid, byte[] terms)
      throws IOException {
    return reader.use(() -> reader.impacts(luceneDocid, terms));
  }

  /** See {@link VectorRange#of}. */
  public static byte[] vectors(ImpactIndexReader reader, int from, int to) throws IOException {
    return reader.use(() -> VectorRange.of(reader.lucene(), from, to));
  }

  /** See {@link ImpactIndexReader#raw}. */
  public static byte[] raw(ImpactIndexReader reader, byte[] luceneDocids) throws IOException {
    return reader.use(() -> reader.raw(luceneDocids));
  }

  /** See {@link StoredValues#types}. */
  public static byte[] fieldTypes(ImpactIndexReader reader) throws IOException {
    return reader.use(() -> StoredValues.types(reader.leaves()));
  }

  /**
   * See {@link StoredValues#read}.
   *
   * @param fields as {@link FieldSchema#read} reads them
   */
  public static byte[] fieldValues(ImpactIndexReader reader, byte[] luceneDocids, byte[] fields)
      throws IOException {
    FieldSchema schema = FieldSchema.read(fields);
    return reader.use(() -> StoredValues.read(reader.leaves(), luceneDocids, schema));
  }

  /** See {@link StoredValues#count}. */
  public static byte[] keywordCounts(ImpactIndexReader reader, byte[] luceneDocids, String field)
      throws IOException {
    return reader.use(() -> StoredValues.count(reader.leaves(), luceneDocids, field));
  }

  /** See {@link StoredValues#range}. */
  public static byte[] valueRange(ImpactIndexReader reader, String field) throws IOException {
    return reader.use(() -> StoredValues.range(reader.leaves(), field));
  }

  /**
   * See {@link Distributions#of}.
   *
   * @param isCancelled {@code null}: nothing stops it
   */
  public static byte[] distributions(ImpactIndexReader reader, BooleanSupplier isCancelled)
      throws IOException {
    return reader.use(
        () -> Distributions.of(reader.leaves(), isCancelled == null ? () -> false : isCancelled));
  }

  /** See {@link ImpactIndexReader#accelerate}. */
  public static void accelerate(
      ImpactIndexReader reader, String folder, boolean anew, boolean clear, long bytes)
      throws IOException {
    reader.use(
        () -> {
          reader.accelerate(Path.of(folder), anew, clear, bytes);
          return null;
        });
  }

  /** See {@link ImpactIndexReader#acceleratorNames}. */
  public static String acceleratorNames(ImpactIndexReader reader) {
    return reader.acceleratorNames();
  }

  /** See {@link ImpactIndexReader#verifyAccelerators}. */
  public static byte[] verifyAccelerators(ImpactIndexReader reader, byte[] folders)
      throws IOException {
    return reader.use(() -> reader.verifyAccelerators(PackedLists.readPaths(folders)));
  }

  /** See {@link ImpactIndexReader#duplicateDocids}. */
  public static byte[] duplicateDocids(ImpactIndexReader reader, int most) throws IOException {
    return reader.use(() -> reader.duplicateDocids(most));
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

  /** See {@link Verification#verify}. */
  public static byte[] verify(String index) throws IOException {
    try (Directory directory = open(index)) {
      return Verification.verify(directory);
    }
  }

  /** See {@link Verification#damage}. */
  public static String damage(String index, String message) throws IOException {
    try (Directory directory = open(index)) {
      return Verification.damage(directory, message);
    }
  }

  /** See {@link Verification#leftovers}; separated by spaces. */
  public static String leftovers(String index) throws IOException {
    try (Directory directory = open(index)) {
      return String.join(" ", Verification.leftovers(directory));
    }
  }

  private static Directory open(String index) throws IOException {
    return FSDirectory.open(Path.of(index));
  }
}
