package io.spladelucene;

import java.io.IOException;

/** All that Python calls to search an impact index; static for the reason that {@link IndexFacade} tells. */
public final class SearchFacade {
  private SearchFacade() {}

  public static ImpactSearcher openSearcher(ImpactIndexReader reader, long cacheBytes, byte[] folders)
      throws IOException {
    return new ImpactSearcher(reader, cacheBytes, folders);
  }

  public static ImpactSearcher.Settings settings(
      String engine, double minIdf, double alpha, int blocks, double beta, int candidates) {
    return new ImpactSearcher.Settings(engine, minIdf, alpha, blocks, beta, candidates);
  }

  public static DocumentFilter filter(ImpactIndexReader reader, byte[] docids, boolean keep) throws IOException {
    return new DocumentFilter(reader, docids, keep);
  }

  public static int filterSize(DocumentFilter filter) {
    return filter.size();
  }

  /** {@code filter} may be {@code null}. */
  public static byte[] search(
      ImpactSearcher searcher, byte[] queries, int k, int threads, ImpactSearcher.Settings settings,
      DocumentFilter filter)
      throws Exception {
    return searcher.search(queries, k, threads, settings, filter);
  }

  public static int segments(ImpactSearcher searcher) {
    return searcher.segments();
  }

  public static int acceleratedSegments(ImpactSearcher searcher) {
    return searcher.accelerated();
  }

  public static String problems(ImpactSearcher searcher) {
    return searcher.problems();
  }

  public static void close(ImpactSearcher searcher) throws IOException {
    searcher.close();
  }
}
