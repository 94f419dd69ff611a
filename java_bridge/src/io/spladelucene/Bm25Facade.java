package io.spladelucene;

import java.io.IOException;

/** All that Python calls to index texts and search them with BM25; static for the reason that {@link IndexFacade} tells. */
public final class Bm25Facade {
  private Bm25Facade() {}

  public static Bm25Writer openWriter(String index, int threads) throws IOException {
    return new Bm25Writer(index, threads);
  }

  public static void add(Bm25Writer writer, byte[] documents) throws Exception {
    writer.add(documents);
  }

  public static String finish(Bm25Writer writer) throws Exception {
    return writer.finish();
  }

  public static void rollback(Bm25Writer writer) throws Exception {
    writer.rollback();
  }

  public static Bm25Index openIndex(String index, float k1, float b) throws IOException {
    return new Bm25Index(index, k1, b);
  }

  public static boolean holdsTexts(Bm25Index index) throws IOException {
    return index.holdsTexts();
  }

  public static int numDocs(Bm25Index index) {
    return index.numDocs();
  }

  public static String statistics(Bm25Index index) throws IOException {
    return index.statistics();
  }

  public static byte[] terms(Bm25Index index) throws IOException {
    return index.terms();
  }

  public static byte[] analyze(Bm25Index index, byte[] texts) {
    return index.analyze(texts);
  }

  public static String raw(Bm25Index index, String docid) throws IOException {
    return index.raw(docid);
  }

  public static byte[] search(Bm25Index index, byte[] texts, int k, int threads) throws Exception {
    return index.search(texts, k, threads);
  }

  public static void close(Bm25Index index) throws IOException {
    index.close();
  }
}
