package io.spladelucene.search;

import io.spladelucene.index.Accelerator;
import io.spladelucene.index.DocidTable;
import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.postings.ImpactPlanes;
import io.spladelucene.wire.ImpactQuery;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * Searches an impact index. The score of a document is the sum, over the terms, of the query's
 * impact times the document's impact. Hits are ordered by score descending, then by docid ascending
 * as bytes; this order also decides which hits are the best k.
 *
 * <p>Each segment is searched by one of these engines, which find the same hits:
 *
 * <ul>
 *   <li>{@link DynamicPruning}, with {@link BlockMax} or {@link MaxScore}: if k is small.
 *   <li>{@link TermAtATime}: if most documents must be scored.
 *   <li>{@link StreamedSearch}: if lists or scores are too large for the others.
 * </ul>
 *
 * <p>For any number of threads.
 */
public final class ImpactSearcher implements Closeable {
  private static final int REMEMBERED = 1 << 18; // terms whose commonness is remembered

  private final ImpactIndexReader index;
  private final DocidTable docids;
  private final DocumentFilter live;
  private final Accelerator[] accelerators; // by segment; null: there is none
  private final List<String> problems = new ArrayList<>();
  private final PostingsCache cache;
  private final DocumentVectors vectors;
  private final Map<BytesRef, Integer> commonnesses = new ConcurrentHashMap<>();
  private final ArrayBlockingQueue<Engines> idleEngines = new ArrayBlockingQueue<>(256);
  private final SearchPool pool = new SearchPool();

  /**
   * Opens a searcher.
   *
   * @param index stays open when the searcher is closed
   * @param cacheBytes the budget for decoded postings; negative: a quarter of the heap
   * @param folders where accelerators may be
   */
  public ImpactSearcher(ImpactIndexReader index, long cacheBytes, List<Path> folders)
      throws IOException {
    this.index = index;
    accelerators = new Accelerator[index.leaves().size()];
    folders.forEach(this::openAccelerators);
    long budget = cacheBytes < 0 ? Runtime.getRuntime().maxMemory() / 4 : cacheBytes;
    cache = new PostingsCache(budget, accelerators);
    vectors = new DocumentVectors(index, budget / 2);
    docids = index.docids();
    live = DocumentFilter.live(index);
  }

  private void openAccelerators(Path folder) {
    for (LeafReaderContext leaf : index.leaves()) {
      if (accelerators[leaf.ord] == null) {
        try {
          accelerators[leaf.ord] = Accelerator.open(folder, leaf.reader());
        } catch (IOException e) {
          Path path = folder.resolve(Accelerator.nameFor(leaf.reader()));
          problems.add(path + " " + e.getMessage());
        }
      }
    }
  }

  /** The number of segments whose postings are read from an accelerator. */
  public int acceleratedSegments() {
    int count = 0;
    for (Accelerator each : accelerators) {
      count += each == null || each.isDamaged() ? 0 : 1;
    }
    return count;
  }

  /** Which accelerators are not used, and why: a line for each. */
  public String problems() {
    List<String> all = new ArrayList<>(problems);
    for (Accelerator each : accelerators) {
      if (each != null && each.isDamaged()) {
        all.add(each.path() + " is damaged");
      }
    }
    return String.join("\n", all);
  }

  /** The docids of the index. */
  DocidTable docids() {
    return docids;
  }

  /**
   * Searches a batch of queries.
   *
   * @param k the number of hits of each query
   * @param threads the number of threads that search; with 1 the calling thread does
   * @param filter the documents that may be hits; {@code null}: all
   * @param cancellation what may stop the search
   * @param finish what the thread that has found the hits of a query makes of them
   * @return what {@code finish} made, by query
   * @throws java.util.concurrent.CancellationException if the search was stopped
   */
  <T> List<T> search(
      List<ImpactQuery> queries,
      int k,
      int threads,
      SearchSettings settings,
      DocumentFilter filter,
      Cancellation cancellation,
      Function<SearchResult, T> finish)
      throws Exception {
    Search search =
        new Search(
            Math.min(k, index.maxDoc()), settings, filter == null ? live : filter, cancellation);
    List<T> results = new ArrayList<>(Collections.nCopies(queries.size(), null));
    return index.use(
        () -> {
          pool.forEach(
              queries.size(),
              threads,
              i -> results.set(i, finish.apply(search.run(queries.get(i)))));
          return results;
        });
  }

  /**
   * Expands a batch of queries; terms that the index lacks, or that are ignored, are dropped first.
   *
   * @param k as in {@link QueryExpansion#expand}
   */
  List<QueryExpansion.Expanded> expand(
      List<ImpactQuery> queries,
      int k,
      int threads,
      SearchSettings settings,
      DocumentFilter filter,
      Cancellation cancellation,
      Feedback feedback)
      throws Exception {
    Search search = new Search(k, settings, live, cancellation);
    return index.use(
        () -> {
          List<ImpactQuery> known = new ArrayList<>();
          for (ImpactQuery query : queries) {
            known.add(search.withKnownTerms(query));
          }
          return new QueryExpansion(this, index, feedback, search::isCommon)
              .expand(known, k, threads, settings, filter, cancellation);
        });
  }

  /** {@link ImpactIndexReader#commonness} of a term, which is remembered. */
  int commonness(BytesRef term) throws IOException {
    Integer documents = commonnesses.get(term);
    if (documents == null) {
      documents = index.commonness(term);
      if (commonnesses.size() >= REMEMBERED) {
        commonnesses.clear();
      }
      commonnesses.put(BytesRef.deepCopyOf(term), documents);
    }
    return documents;
  }

  /** See {@link DocumentVectors#of}. */
  List<ImpactQuery> vectors(int[] docs) throws IOException {
    return index.use(() -> vectors.of(docs));
  }

  /** Runs a task for each of the queries of a batch, as {@link SearchPool#forEach}. */
  void forEach(int count, int threads, SearchPool.Task task) throws Exception {
    pool.forEach(count, threads, task);
  }

  /**
   * The scores of documents for the queries of a batch.
   *
   * @param docs for each query its documents: lucene_docids in any order; negative: no document
   * @return for each query the scores of its documents, in their order; -1 for no document
   */
  List<long[]> scores(
      List<ImpactQuery> queries,
      List<int[]> docs,
      int threads,
      SearchSettings settings,
      Cancellation cancellation)
      throws Exception {
    Search search = new Search(1, settings, live, cancellation);
    long[][] scores = new long[queries.size()][];
    return index.use(
        () -> {
          pool.forEach(
              scores.length,
              threads,
              i -> {
                int[] wanted = docs.get(i);
                int[] sorted = Arrays.stream(wanted).filter(doc -> doc >= 0).sorted().toArray();
                long[] found = search.scoresOf(sorted, queries.get(i));
                scores[i] = new long[wanted.length];
                for (int j = 0; j < wanted.length; j++) {
                  int at = Arrays.binarySearch(sorted, wanted[j]);
                  scores[i][j] = at < 0 ? -1 : found[at];
                }
              });
          return List.of(scores);
        });
  }

  /** What a thread needs to search a segment, reused from query to query. */
  private static final class Engines {
    final TermAtATime termAtATime = new TermAtATime();
    final DynamicPruning dynamicPruning = new DynamicPruning();
    final StreamedSearch streamed = new StreamedSearch();
    int[] sumsOfSelection = new int[0]; // all 0 between searches
  }

  /** What the queries of a batch have in common. */
  private final class Search {
    private final int depth;
    private final SearchSettings settings;
    private final DocumentFilter filter;
    private final Cancellation cancellation;

    Search(int depth, SearchSettings settings, DocumentFilter filter, Cancellation cancellation) {
      this.depth = depth;
      this.settings = settings;
      this.filter = filter;
      this.cancellation = cancellation;
    }

    /** Searches for one query. */
    SearchResult run(ImpactQuery query) throws IOException {
      cancellation.check();
      Profile profile = new Profile();
      Approximation approximation = settings.approximation();
      ImpactQuery kept = query.heaviest(approximation.terms(query.size()));
      boolean isScoredAgain = kept != query && approximation.candidates() > 0;
      int wanted = depth;
      if (isScoredAgain) {
        wanted = Math.min(index.maxDoc(), Math.max(depth, approximation.candidates()));
      }
      TopHits top = new TopHits(wanted, docids);
      if (depth > 0) {
        Engines engines = idleEngines.poll();
        if (engines == null) {
          engines = new Engines();
        }
        for (LeafReaderContext leaf : index.leaves()) {
          searchLeaf(leaf, kept, engines, top, profile);
        }
        // Not after an exception, which may leave sums that are not zero.
        idleEngines.offer(engines);
        if (isScoredAgain) {
          top = scoreAgain(top, query);
        }
      }
      top.finish();
      return new SearchResult(top, profile);
    }

    private void searchLeaf(
        LeafReaderContext leaf, ImpactQuery query, Engines engines, TopHits top, Profile profile)
        throws IOException {
      Terms terms = leaf.reader().terms(Fields.CONTENTS);
      if (terms == null) {
        return;
      }
      QueryLists lists = listsOf(leaf, query);
      boolean isDecoded = collect(leaf, terms, query, lists);
      Accelerator accelerator = accelerators[leaf.ord];
      profile.metDamage |= accelerator != null && accelerator.isDamaged();
      if (isDecoded && lists.fitsInt()) {
        searchDecoded(lists, filter.selection(leaf), engines, top, profile);
      } else {
        stream(open(terms, query), lists, engines, top, profile);
      }
    }

    private QueryLists listsOf(LeafReaderContext leaf, ImpactQuery query) {
      QueryLists lists = filter.lists(leaf, query.size());
      lists.cancellation = cancellation;
      return lists;
    }

    private void searchDecoded(
        QueryLists lists, Selection selection, Engines engines, TopHits top, Profile profile) {
      profile.lookedUp();
      profile.postings += lists.total();
      if (selection != null && isForSelection()) {
        engines.sumsOfSelection = selection.search(lists, top, engines.sumsOfSelection, profile);
        profile.leavesByTerm++;
        profile.scored();
        return;
      }
      top.raise(lists.floor(top.depth()));
      if (isPruned(lists, top.depth())) {
        engines.dynamicPruning.search(
            lists, top, settings.approximation(), settings.engine(), profile);
        return;
      }
      engines.termAtATime.search(lists, top);
      profile.leavesByTerm++;
      profile.postingsScored += lists.total();
      profile.scored();
    }

    private void stream(
        List<StreamedSearch.Stream> streams,
        QueryLists lists,
        Engines engines,
        TopHits top,
        Profile profile)
        throws IOException {
      profile.lookedUp();
      long postings = 0;
      for (StreamedSearch.Stream stream : streams) {
        postings += stream.postings().cost();
      }
      engines.streamed.search(streams, lists, top);
      profile.leavesStreamed++;
      profile.postings += postings;
      profile.postingsScored += postings;
      profile.scored();
    }

    private boolean isForSelection() {
      return settings.engine() == Engine.AUTO && !settings.approximation().skipsBlocks();
    }

    private boolean isPruned(QueryLists lists, int depth) {
      return switch (settings.engine()) {
        case AUTO ->
            settings.approximation().skipsBlocks() || CostModel.isPruningFaster(depth, lists);
        case BLOCKMAX, MAXSCORE -> true;
        case TAAT -> false;
      };
    }

    /**
     * Adds the decoded postings of a query's terms to the lists; false if there is a term whose
     * postings are too long for the cache.
     */
    private boolean collect(
        LeafReaderContext leaf, Terms terms, ImpactQuery query, QueryLists lists)
        throws IOException {
      TermsEnum lookup = null;
      for (int i = 0; i < query.size(); i++) {
        ImpactPlanes planes = cache.get(leaf.ord, query.terms()[i]);
        if (planes == null) {
          cancellation.check();
          lookup = lookup == null ? terms.iterator() : lookup;
          if (!lookup.seekExact(query.terms()[i])) {
            continue;
          }
          planes = cache.load(leaf.ord, query.terms()[i], lookup, lists.maxDoc);
          if (planes == null) {
            return false;
          }
        }
        if (!isCommon(query.terms()[i])) {
          lists.add(planes, query.impacts()[i]);
        }
      }
      return true;
    }

    /** Opens Lucene's postings of a query's terms. */
    private List<StreamedSearch.Stream> open(Terms terms, ImpactQuery query) throws IOException {
      List<StreamedSearch.Stream> streams = new ArrayList<>();
      TermsEnum lookup = terms.iterator();
      for (int i = 0; i < query.size(); i++) {
        BytesRef term = query.terms()[i];
        if (lookup.seekExact(term) && !isCommon(term)) {
          PostingsEnum postings = lookup.postings(null, PostingsEnum.FREQS);
          postings.nextDoc();
          streams.add(new StreamedSearch.Stream(postings, query.impacts()[i]));
        }
      }
      return streams;
    }

    /** Whether a term is ignored, by Pyserini's rule. */
    private boolean isCommon(BytesRef term) throws IOException {
      return settings.minIdf() >= 0 && isCommon(commonness(term));
    }

    boolean isCommon(int documents) {
      return settings.minIdf() >= 0
          && !(Math.log((double) index.numDocs() / documents) > settings.minIdf());
    }

    /** The query without the terms that are not searched. */
    ImpactQuery withKnownTerms(ImpactQuery query) throws IOException {
      int[] known = new int[query.size()];
      int size = 0;
      for (int i = 0; i < query.size(); i++) {
        int documents = commonness(query.terms()[i]);
        if (documents > 0 && !isCommon(documents)) {
          known[size++] = i;
        }
      }
      ImpactQuery kept = new ImpactQuery(new BytesRef[size], new int[size]);
      for (int i = 0; i < size; i++) {
        kept.terms()[i] = query.terms()[known[i]];
        kept.impacts()[i] = query.impacts()[known[i]];
      }
      return kept;
    }

    /** Scores the hits of a query that was cut with all terms, and keeps the best. */
    private TopHits scoreAgain(TopHits candidates, ImpactQuery query) throws IOException {
      candidates.finish();
      int[] docs = new int[candidates.size()];
      Arrays.setAll(docs, candidates::luceneDocid);
      Arrays.sort(docs);
      long[] scores = scoresOf(docs, query);
      TopHits top = new TopHits(depth, docids);
      for (int i = 0; i < docs.length; i++) {
        if (scores[i] >= top.threshold()) {
          top.offer(scores[i], docs[i]);
        }
      }
      return top;
    }

    /** The scores of some documents, which are in ascending order. */
    long[] scoresOf(int[] docs, ImpactQuery query) throws IOException {
      long[] scores = new long[docs.length];
      int from = 0;
      for (LeafReaderContext leaf : index.leaves()) {
        int to = from;
        while (to < docs.length && docs[to] < leaf.docBase + leaf.reader().maxDoc()) {
          to++;
        }
        Terms terms = from < to ? leaf.reader().terms(Fields.CONTENTS) : null;
        if (terms != null) {
          QueryLists lists = listsOf(leaf, query);
          if (collect(leaf, terms, query, lists) && lists.fitsInt()) {
            for (int i = from; i < to; i++) {
              cancellation.check();
              scores[i] = lists.scoreOf(docs[i] - leaf.docBase);
            }
          } else {
            for (StreamedSearch.Stream stream : open(terms, query)) {
              cancellation.check();
              for (int i = from; i < to; i++) {
                scores[i] += stream.impactOf(docs[i] - leaf.docBase);
              }
            }
          }
        }
        from = to;
      }
      return scores;
    }
  }

  /** Closes the accelerators and ends the threads. The index stays open. */
  @Override
  public synchronized void close() throws IOException {
    for (Accelerator each : accelerators) {
      if (each != null) {
        each.close();
      }
    }
    pool.close();
  }
}
