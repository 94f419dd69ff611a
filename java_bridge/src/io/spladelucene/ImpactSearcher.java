package io.spladelucene;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * Exact impact search: the score of a document is the sum of query impact times document impact, as an integer; hits
 * are ordered by score descending, then docid ascending as bytes, at the k-th place too.
 *
 * <p>{@link BlockMax} skips most blocks of documents where few hits are wanted; {@link TermAtATime} takes over where that
 * does not pay. The hits are the same.
 */
public final class ImpactSearcher implements Closeable {
  // Below, adding up all postings is as fast; measured with real SPLADE-v3 queries on 50,000 to 1,000,000 documents.
  private static final int BLOCKMAX_DEPTH = 20;
  private static final int BLOCKMAX_POSTINGS = 400_000;

  private final ImpactIndexReader index;
  private final DocidTable docids;
  private final PostingsCache cache;
  private final ArrayBlockingQueue<Engines> spare = new ArrayBlockingQueue<>(256);
  private ExecutorService pool;
  private int poolSize = 0;

  /**
   * @param cacheBytes what decoded postings may take; negative: a quarter of the heap
   */
  public ImpactSearcher(ImpactIndexReader index, long cacheBytes) throws IOException {
    this.index = index;
    cache = new PostingsCache(cacheBytes < 0 ? Runtime.getRuntime().maxMemory() / 4 : cacheBytes);
    docids = index.docids();
  }

  /**
   * Searches a batch of queries.
   *
   * @param batch int count; per query: int terms; per term: int impact (at least 1), term
   * @param minIdf a term is dropped unless ln(documents / its documents) is above this; negative keeps all
   * @param engineName {@code auto}, {@code blockmax} or {@code taat}
   * @return per query: int hits; long[hits] scores; int[hits] lucene_docids; int length, and that many bytes: the
   *     docids, a NUL between each two
   */
  public byte[] search(byte[] batch, int k, int threads, double minIdf, String engineName) throws Exception {
    Engine engine = Engine.valueOf(engineName.toUpperCase());
    Packed in = new Packed(batch);
    List<Query> queries = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      Query query = new Query(in.readInt());
      for (int i = 0; i < query.terms.length; i++) {
        query.impacts[i] = in.readInt();
        query.terms[i] = in.readBytes();
      }
      queries.add(query);
    }
    int depth = Math.min(k, index.maxDoc());
    byte[][] hits = new byte[queries.size()][];
    if (threads == 1 || queries.size() == 1) {
      for (int i = 0; i < hits.length; i++) {
        hits[i] = search(queries.get(i), depth, minIdf, engine);
      }
    } else {
      searchConcurrently(queries, depth, threads, minIdf, engine, hits);
    }
    int length = 0;
    for (byte[] each : hits) {
      length = Math.addExact(length, each.length);
    }
    byte[] all = new byte[length];
    int at = 0;
    for (byte[] each : hits) {
      System.arraycopy(each, 0, all, at, each.length);
      at += each.length;
    }
    return all;
  }

  private void searchConcurrently(List<Query> queries, int depth, int threads, double minIdf, Engine engine, byte[][] hits)
      throws Exception {
    AtomicInteger next = new AtomicInteger();
    Callable<Void> worker = () -> {
      for (int i = next.getAndIncrement(); i < hits.length; i = next.getAndIncrement()) {
        hits[i] = search(queries.get(i), depth, minIdf, engine);
      }
      return null;
    };
    List<Future<Void>> running = new ArrayList<>();
    ExecutorService executor = pool(threads);
    for (int i = 0; i < threads; i++) {
      running.add(executor.submit(worker));
    }
    for (Future<Void> each : running) {
      try {
        each.get();
      } catch (ExecutionException e) {
        throw e.getCause() instanceof Exception cause ? cause : e;
      }
    }
  }

  private synchronized ExecutorService pool(int threads) {
    if (poolSize < threads) {
      if (pool != null) {
        pool.shutdown();
      }
      poolSize = threads;
      pool = Executors.newFixedThreadPool(threads, task -> {
        Thread thread = new Thread(task, "impact-searcher");
        thread.setDaemon(true);
        return thread;
      });
    }
    return pool;
  }

  private enum Engine {
    AUTO,
    BLOCKMAX,
    TAAT
  }

  private record Engines(TermAtATime termAtATime, BlockMax blockMax, StreamedSearch streamed) {}

  private static final class Query {
    final BytesRef[] terms;
    final int[] impacts;

    Query(int size) {
      terms = new BytesRef[size];
      impacts = new int[size];
    }
  }

  private byte[] search(Query query, int depth, double minIdf, Engine engine) throws IOException {
    if (depth == 0) {
      return pack(new TopHits(0, docids));
    }
    boolean[] dropped = minIdf < 0 ? null : commonTerms(query, minIdf);
    TopHits top = new TopHits(depth, docids);
    Engines engines = spare.poll();
    if (engines == null) {
      engines = new Engines(new TermAtATime(), new BlockMax(), new StreamedSearch());
    }
    for (LeafReaderContext leaf : index.reader.leaves()) {
      searchLeaf(leaf, query, dropped, engine, depth, engines, top);
    }
    spare.offer(engines); // with all sums zero again
    return pack(top);
  }

  /** Pyserini's rule: a term stays only if its idf is above the limit. */
  private boolean[] commonTerms(Query query, double minIdf) throws IOException {
    boolean[] dropped = new boolean[query.terms.length];
    for (int i = 0; i < dropped.length; i++) {
      int docFreq = index.reader.docFreq(new Term(Fields.CONTENTS, query.terms[i]));
      dropped[i] = docFreq > 0 && !(Math.log((double) index.numDocs() / docFreq) > minIdf);
    }
    return dropped;
  }

  private void searchLeaf(LeafReaderContext leaf, Query query, boolean[] dropped, Engine engine, int depth,
      Engines engines, TopHits top) throws IOException {
    Terms terms = leaf.reader().terms(Fields.CONTENTS);
    if (terms == null) {
      return;
    }
    QueryLists lists = new QueryLists(query.terms.length, leaf.docBase, leaf.reader().maxDoc(), leaf.reader().getLiveDocs());
    TermsEnum lookup = terms.iterator();
    boolean isDecoded = true;
    for (int i = 0; i < query.terms.length && isDecoded; i++) {
      if (dropped == null || !dropped[i]) {
        DecodedPostings decoded = cache.get(leaf.ord, query.terms[i]);
        if (decoded == null && lookup.seekExact(query.terms[i])) {
          decoded = cache.load(leaf.ord, query.terms[i], lookup, lists.maxDoc);
          isDecoded = decoded != null;
        }
        if (decoded != null) {
          lists.add(decoded, query.impacts[i]);
        }
      }
    }
    if (!isDecoded || !lists.fitsInt()) {
      engines.streamed.search(open(query, dropped, lookup), leaf.docBase, lists.live, top);
      return;
    }
    long floor = lists.floor(depth);
    boolean mayPay = depth <= BLOCKMAX_DEPTH && lists.total() >= BLOCKMAX_POSTINGS;
    if (engine == Engine.BLOCKMAX || engine == Engine.AUTO && mayPay) {
      if (engines.blockMax.search(lists, floor, top, engine == Engine.AUTO)) {
        return;
      }
      floor = Math.max(floor, top.threshold());
      top.forgetFrom(leaf.docBase); // they are found again
    }
    engines.termAtATime.search(lists, floor, top);
  }

  private static List<StreamedSearch.Stream> open(Query query, boolean[] dropped, TermsEnum lookup) throws IOException {
    List<StreamedSearch.Stream> streams = new ArrayList<>();
    for (int i = 0; i < query.terms.length; i++) {
      if ((dropped == null || !dropped[i]) && lookup.seekExact(query.terms[i])) {
        PostingsEnum postings = lookup.postings(null, PostingsEnum.FREQS);
        postings.nextDoc();
        streams.add(new StreamedSearch.Stream(postings, query.impacts[i]));
      }
    }
    return streams;
  }

  private byte[] pack(TopHits top) {
    int count = top.size();
    long[] scores = new long[count];
    int[] docs = new int[count];
    int docidBytes = Math.max(0, count - 1);
    for (int i = count - 1; i >= 0; i--) {
      scores[i] = top.removeWorst();
      docs[i] = top.lastDoc;
      docidBytes = Math.addExact(docidBytes, docids.length(docs[i]));
    }
    ByteBuffer out = ByteBuffer.allocate(8 + 12 * count + docidBytes).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(count);
    for (long score : scores) {
      out.putLong(score);
    }
    for (int doc : docs) {
      out.putInt(doc);
    }
    out.putInt(docidBytes);
    int at = out.position();
    for (int i = 0; i < count; i++) {
      if (i > 0) {
        out.array()[at++] = 0;
      }
      at = docids.copy(docs[i], out.array(), at);
    }
    return out.array();
  }

  @Override
  public synchronized void close() {
    if (pool != null) {
      pool.shutdown();
    }
  }
}
