package io.spladelucene.search;

import io.spladelucene.index.DocidTable;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.wire.PackedHits;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedQueries;
import java.io.IOException;
import java.util.Locale;

/**
 * What Python calls to search an impact index. All methods are static, for the reason that {@link
 * io.spladelucene.index.IndexFacade} gives.
 */
public final class SearchFacade {
  private SearchFacade() {}

  /**
   * See {@link ImpactSearcher}.
   *
   * @param folders as {@link PackedLists#readPaths} reads them
   */
  public static ImpactSearcher openSearcher(
      ImpactIndexReader reader, long cacheBytes, byte[] folders) throws IOException {
    return new ImpactSearcher(reader, cacheBytes, PackedLists.readPaths(folders));
  }

  /** See {@link SearchSettings}, {@link Engine} (in lower case) and {@link Approximation}. */
  public static SearchSettings settings(
      String engine, double minIdf, double alpha, int blocks, double beta, int candidates) {
    return new SearchSettings(
        Engine.valueOf(engine.toUpperCase(Locale.ROOT)),
        minIdf,
        new Approximation(alpha, blocks, beta, candidates));
  }

  /**
   * See {@link DocumentFilter}.
   *
   * @param docids as {@link PackedLists#readBytes} reads them
   */
  public static DocumentFilter filter(ImpactIndexReader reader, byte[] docids, boolean keep)
      throws IOException {
    return reader.use(() -> DocumentFilter.ofDocids(reader, PackedLists.readBytes(docids), keep));
  }

  /**
   * See {@link DocumentFilter}.
   *
   * @param condition as {@link FieldCondition#read} reads it
   */
  public static DocumentFilter fieldFilter(ImpactIndexReader reader, byte[] condition)
      throws IOException {
    return reader.use(() -> DocumentFilter.of(reader, FieldCondition.read(condition)));
  }

  /** See {@link DocumentFilter#and}. */
  public static DocumentFilter bothFilters(
      ImpactIndexReader reader, DocumentFilter one, DocumentFilter other) throws IOException {
    return reader.use(() -> one.and(other));
  }

  /** See {@link DocumentFilter#keywordCounts}. */
  public static byte[] keywordCounts(ImpactIndexReader reader, DocumentFilter filter, String field)
      throws IOException {
    return reader.use(() -> filter.keywordCounts(field));
  }

  /** See {@link DocumentFilter#live}. */
  public static DocumentFilter liveDocuments(ImpactIndexReader reader) throws IOException {
    return reader.use(() -> DocumentFilter.live(reader));
  }

  /** See {@link DocumentFilter#size}. */
  public static int filterSize(DocumentFilter filter) {
    return filter.size();
  }

  /**
   * See {@link ImpactSearcher#search}.
   *
   * @param queries as {@link PackedQueries} reads them
   * @param filter {@code null}: all documents may be hits
   * @return {@link PackedHits} of each query, with the counters of {@link Profile}
   */
  public static byte[] search(
      ImpactSearcher searcher,
      byte[] queries,
      int k,
      int threads,
      SearchSettings settings,
      DocumentFilter filter)
      throws Exception {
    DocidTable docids = searcher.docids();
    return PackedHits.join(
        searcher.search(
            PackedQueries.read(queries),
            k,
            threads,
            settings,
            filter,
            result -> PackedHits.pack(result.hits(), docids, result.profile().counters())));
  }

  /** See {@link ImpactSearcher#acceleratedSegments}. */
  public static int acceleratedSegments(ImpactSearcher searcher) {
    return searcher.acceleratedSegments();
  }

  /** See {@link ImpactSearcher#problems}. */
  public static String problems(ImpactSearcher searcher) {
    return searcher.problems();
  }

  /** See {@link ImpactSearcher#close}. */
  public static void close(ImpactSearcher searcher) throws IOException {
    searcher.close();
  }
}
