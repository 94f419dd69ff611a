package io.spladelucene.search;

import io.spladelucene.index.DocidTable;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.wire.PackedHits;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedQueries;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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
   * @param cancellation {@code null}: nothing stops it
   */
  public static DocumentFilter fieldFilter(
      ImpactIndexReader reader, byte[] condition, Cancellation cancellation) throws IOException {
    return reader.use(
        () -> DocumentFilter.of(reader, FieldCondition.read(condition), orNever(cancellation)));
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
   * @param cancellation {@code null}: nothing stops the search
   * @return {@link PackedHits} of each query, with the counters of {@link Profile}
   */
  public static byte[] search(
      ImpactSearcher searcher,
      byte[] queries,
      int k,
      int threads,
      SearchSettings settings,
      DocumentFilter filter,
      Cancellation cancellation)
      throws Exception {
    DocidTable docids = searcher.docids();
    return PackedHits.join(
        searcher.search(
            PackedQueries.read(queries),
            k,
            threads,
            settings,
            filter,
            orNever(cancellation),
            result -> PackedHits.pack(result.hits(), docids, result.profile().counters())));
  }

  /** See {@link Rocchio}. */
  public static Feedback rocchio(
      int topTerms,
      int topDocs,
      int bottomTerms,
      int bottomDocs,
      double alpha,
      double beta,
      double gamma,
      boolean allTerms) {
    return new Rocchio(
        topTerms,
        topDocs,
        bottomTerms,
        bottomDocs,
        (float) alpha,
        (float) beta,
        (float) gamma,
        allTerms);
  }

  /** See {@link Rm3}. */
  public static Feedback rm3(
      int terms, int topDocs, double queryWeight, boolean plainTerms, boolean allTerms) {
    return new Rm3(terms, topDocs, (float) queryWeight, plainTerms, allTerms);
  }

  /**
   * See {@link QueryExpansion#expand}.
   *
   * @param queries as {@link PackedQueries} reads them
   * @return int: the number of queries whose hits have no term that counts; and the new queries, as
   *     {@link PackedQueries} writes them
   */
  public static byte[] expand(
      ImpactSearcher searcher,
      byte[] queries,
      int k,
      int threads,
      SearchSettings settings,
      DocumentFilter filter,
      Feedback feedback,
      Cancellation cancellation)
      throws Exception {
    List<QueryExpansion.Expanded> expanded =
        searcher.expand(
            PackedQueries.read(queries),
            k,
            threads,
            settings,
            filter,
            orNever(cancellation),
            feedback);
    PackedWriter out = new PackedWriter();
    out.writeInt((int) expanded.stream().filter(each -> !each.hasTerms()).count());
    PackedQueries.write(expanded.stream().map(QueryExpansion.Expanded::query).toList(), out);
    return out.toByteArray();
  }

  /**
   * The terms and impacts of a document that is not deleted.
   *
   * @return a single query, as {@link PackedQueries} writes it
   */
  public static byte[] vector(ImpactSearcher searcher, int luceneDocid) throws IOException {
    PackedWriter out = new PackedWriter();
    PackedQueries.write(searcher.vectors(new int[] {luceneDocid}), out);
    return out.toByteArray();
  }

  /**
   * The scores of documents for queries; see {@link ImpactSearcher#scores}.
   *
   * @param queries as {@link PackedQueries} reads them
   * @param docids as {@link PackedLists#readBytes} reads them: those of all queries, one after
   *     another
   * @param counts as {@link PackedLists#readInts} reads them: the number of docids of each query
   * @return for each docid its score, a long; -1 if no document has it
   */
  public static byte[] scores(
      ImpactIndexReader reader,
      ImpactSearcher searcher,
      byte[] queries,
      byte[] docids,
      byte[] counts,
      int threads,
      SearchSettings settings,
      Cancellation cancellation)
      throws Exception {
    int[] docs = reader.use(() -> reader.luceneDocids(PackedLists.readBytes(docids)));
    List<int[]> docsOfQueries = new ArrayList<>();
    int from = 0;
    for (int count : PackedLists.readInts(counts)) {
      docsOfQueries.add(Arrays.copyOfRange(docs, from, from + count));
      from += count;
    }
    PackedWriter out = new PackedWriter();
    for (long[] scores :
        searcher.scores(
            PackedQueries.read(queries), docsOfQueries, threads, settings, orNever(cancellation))) {
      for (long score : scores) {
        out.writeLong(score);
      }
    }
    return out.toByteArray();
  }

  /** See {@link Cancellation}. */
  public static Cancellation cancellation() {
    return new Cancellation();
  }

  /** See {@link Cancellation#cancel}. */
  public static void cancel(Cancellation cancellation) {
    cancellation.cancel();
  }

  private static Cancellation orNever(Cancellation cancellation) {
    return cancellation == null ? Cancellation.NEVER : cancellation;
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
