package io.spladelucene.bm25;

import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.search.Cancellation;
import io.spladelucene.search.DocumentFilter;
import java.io.IOException;
import java.nio.file.Path;
import org.apache.lucene.store.FSDirectory;

/**
 * What Python calls to index texts and to search them with BM25. All methods are static, for the
 * reason that {@link io.spladelucene.index.IndexFacade} gives.
 */
public final class Bm25Facade {
  private Bm25Facade() {}

  /** See {@link Bm25Writer}. */
  public static Bm25Writer openWriter(String index, int threads) throws IOException {
    return new Bm25Writer(FSDirectory.open(Path.of(index)), threads);
  }

  /** See {@link Bm25Writer#add}. */
  public static void add(Bm25Writer writer, byte[] documents) throws Exception {
    writer.add(documents);
  }

  /** See {@link Bm25Writer#finish}. */
  public static String finish(Bm25Writer writer) throws Exception {
    return writer.finish();
  }

  /** See {@link Bm25Writer#rollback}. */
  public static void rollback(Bm25Writer writer) throws Exception {
    writer.rollback();
  }

  /** See {@link Bm25Index}. */
  public static Bm25Index openIndex(String index, float k1, float b) throws IOException {
    return new Bm25Index(FSDirectory.open(Path.of(index)), k1, b);
  }

  /** See {@link Bm25Index#holdsTexts}. */
  public static boolean holdsTexts(Bm25Index index) throws IOException {
    return index.holdsTexts();
  }

  /** See {@link Bm25Index#numDocs}. */
  public static int numDocs(Bm25Index index) {
    return index.numDocs();
  }

  /** See {@link Bm25Index#statistics}. */
  public static String statistics(Bm25Index index) throws IOException {
    return index.statistics();
  }

  /** See {@link Bm25Index#terms}. */
  public static byte[] terms(Bm25Index index) throws IOException {
    return index.terms();
  }

  /** See {@link Bm25Index#analyze}. */
  public static byte[] analyze(Bm25Index index, byte[] texts) {
    return index.analyze(texts);
  }

  /** See {@link Bm25Index#luceneDocid}. */
  public static int luceneDocid(Bm25Index index, String docid) throws IOException {
    return index.luceneDocid(docid);
  }

  /** See {@link Bm25Index#raw}. */
  public static byte[] raw(Bm25Index index, byte[] luceneDocids) throws IOException {
    return index.raw(luceneDocids);
  }

  /** See {@link Bm25Index#search}. */
  public static byte[] search(Bm25Index index, byte[] texts, int k, int threads) throws Exception {
    return index.search(texts, k, threads);
  }

  /** See {@link Bm25Field#isIn}. */
  public static boolean hasField(ImpactIndexReader index) throws IOException {
    return index.use(() -> Bm25Field.isIn(index));
  }

  /** See {@link Bm25Field#statistics}. */
  public static String fieldStatistics(ImpactIndexReader index) throws IOException {
    return index.use(() -> Bm25Field.statistics(index));
  }

  /** See {@link Bm25Field#search}. */
  public static byte[] searchField(
      ImpactIndexReader index,
      byte[] texts,
      int k,
      float k1,
      float b,
      int threads,
      DocumentFilter filter,
      Cancellation cancellation)
      throws Exception {
    return index.use(() -> Bm25Field.search(index, texts, k, k1, b, threads, filter, cancellation));
  }

  /** See {@link Bm25Index#close}. */
  public static void close(Bm25Index index) throws IOException {
    index.close();
  }
}
