package io.spladelucene.search;

import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.wire.ImpactQuery;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import org.apache.lucene.util.BytesRef;

/**
 * Expands the queries of a batch by {@link Feedback}: searches for them, reads the vectors of their
 * hits, and makes new queries of both.
 */
final class QueryExpansion {
  private static final int HITS_AT_ONCE = 1 << 14; // whose vectors are in memory

  private final ImpactSearcher searcher;
  private final ImpactIndexReader index;
  private final Feedback feedback;
  private final IntPredicate isCommon;

  /**
   * An expansion for one batch.
   *
   * @param isCommon whether terms in so many documents are not searched
   */
  QueryExpansion(
      ImpactSearcher searcher, ImpactIndexReader index, Feedback feedback, IntPredicate isCommon) {
    this.searcher = searcher;
    this.index = index;
    this.feedback = feedback;
    this.isCommon = isCommon;
  }

  /**
   * An expanded query.
   *
   * @param hasTerms whether there are no hits, or a term of theirs counts
   */
  record Expanded(ImpactQuery query, boolean hasTerms) {}

  /** What is known of the hits of a query. */
  private record Found(int[] docs, long[] scores) {}

  /**
   * Expands queries.
   *
   * @param queries without terms that are not searched
   * @param k the number of hits of which the last are taken for not relevant
   * @param cancellation what may stop the search
   */
  List<Expanded> expand(
      List<ImpactQuery> queries,
      int k,
      int threads,
      SearchSettings settings,
      DocumentFilter filter,
      Cancellation cancellation)
      throws Exception {
    int depth = feedback.bottomDocs() > 0 ? Math.max(k, feedback.topDocs()) : feedback.topDocs();
    List<Expanded> expanded = new ArrayList<>();
    int step = Math.max(1, HITS_AT_ONCE / Math.max(1, Math.min(depth, index.maxDoc())));
    for (int from = 0; from < queries.size(); from += step) {
      List<ImpactQuery> some = queries.subList(from, Math.min(queries.size(), from + step));
      List<Found> found =
          searcher.search(
              some, depth, threads, settings, filter, cancellation, result -> found(result.hits()));
      cancellation.check();
      expanded.addAll(expand(some, found, k, threads));
    }
    return expanded;
  }

  private static Found found(TopHits hits) {
    int[] docs = new int[hits.size()];
    long[] scores = new long[docs.length];
    Arrays.setAll(docs, hits::luceneDocid);
    Arrays.setAll(scores, hits::score);
    return new Found(docs, scores);
  }

  private List<Expanded> expand(List<ImpactQuery> queries, List<Found> found, int k, int threads)
      throws Exception {
    TreeSet<Integer> wanted = new TreeSet<>();
    for (Found each : found) {
      for (int rank : ranks(each, k)) {
        wanted.add(each.docs[rank]);
      }
    }
    int[] docs = wanted.stream().mapToInt(Integer::intValue).toArray();
    List<ImpactQuery> vectors = searcher.vectors(docs);
    Expanded[] expanded = new Expanded[queries.size()];
    searcher.forEach(
        expanded.length,
        threads,
        i -> {
          List<Feedback.Hit> hits = new ArrayList<>();
          for (int rank : ranks(found.get(i), k)) {
            int at = Arrays.binarySearch(docs, found.get(i).docs[rank]);
            hits.add(new Feedback.Hit(vectors.get(at), found.get(i).scores[rank]));
          }
          int top = Math.min(feedback.topDocs(), found.get(i).docs.length);
          expanded[i] =
              expand(queries.get(i), hits.subList(0, top), hits.subList(top, hits.size()));
        });
    return List.of(expanded);
  }

  /** The ranks of the hits that are used, from 0: the first, and then the last ones backwards. */
  private int[] ranks(Found found, int k) {
    int top = Math.min(feedback.topDocs(), found.docs.length);
    int last = Math.min(k, found.docs.length);
    int bottom = Math.min(feedback.bottomDocs(), last);
    int[] ranks = new int[top + bottom];
    Arrays.setAll(ranks, i -> i < top ? i : last - 1 - (i - top));
    return ranks;
  }

  private Expanded expand(ImpactQuery query, List<Feedback.Hit> top, List<Feedback.Hit> bottom) {
    boolean hasTerms = top.isEmpty();
    for (Feedback.Hit hit : top) {
      hasTerms |= Arrays.stream(hit.vector().terms()).anyMatch(this::keeps);
    }
    return new Expanded(feedback.expand(query, top, bottom, this::keeps).toQuery(), hasTerms);
  }

  private boolean keeps(BytesRef term) {
    if (!feedback.accepts(term)) {
      return false;
    }
    try {
      int documents = searcher.commonness(term);
      return !((float) documents / index.numDocs() > feedback.commonShare())
          && !isCommon.test(documents);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
