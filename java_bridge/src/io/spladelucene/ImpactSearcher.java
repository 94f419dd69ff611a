package io.spladelucene;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
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
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/**
 * Exact impact search: the score of a document is the sum of query impact times document impact, as an integer; hits
 * are ordered by score descending, then docid ascending as bytes, at the k-th place too.
 *
 * <p>Term at a time over windows of lucene_docids: within a window each term's postings are added to an array of sums
 * that stays in the processor's cache, then the sums are compared with the k-th best score so far. Nothing is
 * allocated per posting, and no term list is too long for it.
 */
public final class ImpactSearcher implements Closeable {
  private static final int WINDOW = 1 << 13; // 64 KiB of sums

  private final ImpactIndexReader index;
  private final DocidTable docids;
  private final PostingsCache cache;
  private final ArrayBlockingQueue<long[]> spareSums = new ArrayBlockingQueue<>(256);
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
   * @return per query: int hits; long[hits] scores; int[hits] lucene_docids; int length, and that many bytes: the
   *     docids, a NUL between each two
   */
  public byte[] search(byte[] batch, int k, int threads, double minIdf) throws Exception {
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
        hits[i] = search(queries.get(i), depth, minIdf);
      }
    } else {
      searchConcurrently(queries, depth, threads, minIdf, hits);
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

  private void searchConcurrently(List<Query> queries, int depth, int threads, double minIdf, byte[][] hits) throws Exception {
    AtomicInteger next = new AtomicInteger();
    Callable<Void> worker = () -> {
      for (int i = next.getAndIncrement(); i < hits.length; i = next.getAndIncrement()) {
        hits[i] = search(queries.get(i), depth, minIdf);
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

  private static final class Query {
    final BytesRef[] terms;
    final int[] impacts;

    Query(int size) {
      terms = new BytesRef[size];
      impacts = new int[size];
    }
  }

  private byte[] search(Query query, int depth, double minIdf) throws IOException {
    if (depth == 0) {
      return pack(new TopHits(0, docids));
    }
    boolean[] dropped = minIdf < 0 ? null : commonTerms(query, minIdf);
    TopHits top = new TopHits(depth, docids);
    long[] sums = spareSums.poll();
    if (sums == null) {
      sums = new long[WINDOW];
    }
    for (LeafReaderContext leaf : index.reader.leaves()) {
      searchLeaf(leaf, query, dropped, sums, top);
    }
    spareSums.offer(sums); // all zero again
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

  private void searchLeaf(LeafReaderContext leaf, Query query, boolean[] dropped, long[] sums, TopHits top) throws IOException {
    Terms terms = leaf.reader().terms(Fields.CONTENTS);
    if (terms == null) {
      return;
    }
    PostingList[] lists = new PostingList[query.terms.length];
    int open = 0;
    TermsEnum lookup = terms.iterator();
    for (int i = 0; i < query.terms.length; i++) {
      if (dropped == null || !dropped[i]) {
        PostingList list = open(leaf.ord, lookup, query.terms[i], query.impacts[i]);
        if (list != null) {
          lists[open++] = list;
        }
      }
    }
    Bits live = leaf.reader().getLiveDocs();
    while (true) {
      int first = PostingsEnum.NO_MORE_DOCS;
      for (int i = 0; i < open; i++) {
        first = Math.min(first, lists[i].doc());
      }
      if (first == PostingsEnum.NO_MORE_DOCS) {
        return;
      }
      int windowEnd = (int) Math.min((long) first + WINDOW, PostingsEnum.NO_MORE_DOCS);
      int last = first;
      for (int i = 0; i < open; i++) {
        last = Math.max(last, lists[i].addTo(sums, first, windowEnd));
        if (lists[i].doc() == PostingsEnum.NO_MORE_DOCS) {
          lists[i--] = lists[--open];
        }
      }
      collect(sums, first, last - first + 1, leaf.docBase, live, top);
    }
  }

  private PostingList open(int leaf, TermsEnum lookup, BytesRef term, int queryImpact) throws IOException {
    PostingsCache.Decoded decoded = cache.get(leaf, term);
    if (decoded == null) {
      if (!lookup.seekExact(term)) {
        return null;
      }
      decoded = cache.load(leaf, term, lookup);
      if (decoded == null) {
        return PostingList.of(lookup.postings(null, PostingsEnum.FREQS), queryImpact);
      }
    }
    return PostingList.of(decoded, queryImpact);
  }

  private static void collect(long[] sums, int base, int length, int docBase, Bits live, TopHits top) {
    long threshold = top.threshold();
    for (int i = 0; i < length; i++) {
      if (sums[i] >= threshold && (live == null || live.get(base + i))) {
        top.offer(sums[i], docBase + base + i);
        threshold = top.threshold();
      }
    }
    Arrays.fill(sums, 0, length, 0);
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
