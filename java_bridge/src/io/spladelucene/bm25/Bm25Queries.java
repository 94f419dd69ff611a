package io.spladelucene.bm25;

import io.anserini.search.query.BagOfWordsQueryGenerator;
import io.spladelucene.index.AnseriniFormat;
import io.spladelucene.index.Fields;
import io.spladelucene.search.Cancellation;
import io.spladelucene.wire.PackedBm25Hits;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.search.FieldDoc;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.Sort;
import org.apache.lucene.search.SortField;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.util.BytesRef;

/**
 * Searches a field of texts with BM25 as Anserini does: with its English analyzer, its queries, and
 * its order of hits with equal scores. For any number of threads.
 */
final class Bm25Queries {
  private static final Sort ORDER =
      new Sort(SortField.FIELD_SCORE, new SortField(Fields.ID, SortField.Type.STRING_VAL));

  static {
    IndexSearcher.setMaxClauseCount(Integer.MAX_VALUE); // a whole document may be a query
  }

  private final IndexSearcher searcher;
  private final String field;
  private final BagOfWordsQueryGenerator generator = new BagOfWordsQueryGenerator();
  private Cancellation cancellation = Cancellation.NEVER;

  /** Searches a field of an open index with BM25's parameters k1 and b. */
  Bm25Queries(IndexReader reader, String field, float k1, float b) {
    this.field = field;
    searcher = new IndexSearcher(reader);
    searcher.setSimilarity(new BM25Similarity(k1, b));
  }

  /** Lets searches that begin after this be stopped. */
  void stopWith(Cancellation cancellation) {
    this.cancellation = cancellation;
    searcher.setTimeout(cancellation::isCancelled);
  }

  /** Lucene's searcher. */
  IndexSearcher lucene() {
    return searcher;
  }

  /**
   * Searches for queries.
   *
   * @param texts of the queries, as {@link PackedLists#readStrings} reads them
   * @return per query: {@link PackedBm25Hits}
   * @throws java.util.concurrent.CancellationException if the search was stopped
   */
  byte[] search(byte[] texts, int k, int threads) throws Exception {
    List<Callable<byte[]>> searches = new ArrayList<>();
    for (String text : PackedLists.readStrings(texts)) {
      searches.add(() -> search(text, k));
    }
    PackedWriter out = new PackedWriter();
    if (threads == 1 || searches.size() <= 1) {
      for (Callable<byte[]> each : searches) {
        out.writeRaw(each.call());
      }
      return out.toByteArray();
    }
    try (ExecutorService pool = Executors.newFixedThreadPool(Math.min(threads, searches.size()))) {
      for (Future<byte[]> each : pool.invokeAll(searches)) {
        out.writeRaw(each.get());
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
    return out.toByteArray();
  }

  private byte[] search(String text, int k) throws IOException {
    cancellation.check();
    Query query = generator.buildQuery(field, AnseriniFormat.ANALYZER, text);
    PackedBm25Hits packed = new PackedBm25Hits();
    ScoreDoc[] hits = searcher.search(query, k, ORDER).scoreDocs;
    cancellation.check(); // Lucene answers with what it has found until then
    for (ScoreDoc hit : hits) {
      Object[] sortedBy = ((FieldDoc) hit).fields;
      packed.add((Float) sortedBy[0], hit.doc, (BytesRef) sortedBy[1]);
    }
    return packed.toByteArray();
  }
}
