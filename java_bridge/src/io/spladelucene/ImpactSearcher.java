package io.spladelucene;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.AlreadyClosedException;
import org.apache.lucene.util.BytesRef;

/**
 * Impact search: the score of a document is the sum of query impact times document impact, as an integer; hits are ordered by
 * score descending, then docid ascending as bytes, at the k-th place too.
 *
 * <p>{@link BlockMax} skips most blocks of documents where few hits are wanted, and most postings of the light lists where its
 * sweep is cheaper; {@link TermAtATime} adds up all postings where neither pays; {@link StreamedSearch} takes what is too long
 * or too large for both. The hits are the same.
 */
public final class ImpactSearcher implements Closeable {
  private final ImpactIndexReader index;
  private final DocidTable docids;
  private final DocumentFilter live;
  private final Accelerator[] accelerators; // per leaf, or null
  private final List<String> problems = new ArrayList<>();
  private final PostingsCache cache;
  private final ArrayBlockingQueue<Engines> spare = new ArrayBlockingQueue<>(256);
  private final ExecutorService pool = Executors.newCachedThreadPool(task -> {
    Thread thread = new Thread(task, "impact-searcher");
    thread.setDaemon(true);
    return thread;
  });

  /**
   * @param cacheBytes what decoded postings may take; negative: a quarter of the heap
   * @param folders where accelerators may be, each followed by a NUL, in UTF-8
   */
  public ImpactSearcher(ImpactIndexReader index, long cacheBytes, byte[] folders) throws IOException {
    this.index = index;
    accelerators = new Accelerator[index.reader.leaves().size()];
    for (String folder : new String(folders, StandardCharsets.UTF_8).split("\0")) {
      openAccelerators(Path.of(folder));
    }
    cache = new PostingsCache(cacheBytes < 0 ? Runtime.getRuntime().maxMemory() / 4 : cacheBytes, accelerators);
    docids = index.docids();
    live = new DocumentFilter(index);
  }

  private void openAccelerators(Path folder) {
    for (LeafReaderContext leaf : index.reader.leaves()) {
      if (accelerators[leaf.ord] == null) {
        try {
          accelerators[leaf.ord] = Accelerator.open(folder, leaf.reader());
        } catch (IOException e) {
          problems.add(folder.resolve(Accelerator.nameFor(leaf.reader())) + " " + e.getMessage());
        }
      }
    }
  }

  /** Segments whose postings are read from an accelerator. */
  public int accelerated() {
    int count = 0;
    for (Accelerator each : accelerators) {
      count += each == null || each.isDamaged() ? 0 : 1;
    }
    return count;
  }

  /** Segments that have postings. */
  public int segments() {
    return accelerators.length;
  }

  /** Files of accelerators that are not used, and why; a line each. */
  public String problems() {
    List<String> all = new ArrayList<>(problems);
    for (Accelerator each : accelerators) {
      if (each != null && each.isDamaged()) {
        all.add(each.path() + " is damaged");
      }
    }
    return String.join("\n", all);
  }

  /** An engine, or {@code AUTO}: the one that is likely to be the fastest. */
  public enum Engine {
    AUTO(BlockMax.Rest.CHEAPER),
    BLOCKMAX(BlockMax.Rest.RUNS),
    MAXSCORE(BlockMax.Rest.SWEEP),
    TAAT(null);

    private final BlockMax.Rest rest; // null: no pruning

    Engine(BlockMax.Rest rest) {
      this.rest = rest;
    }
  }

  /** How to search, whatever the query: which engine, Pyserini's limit of idf (negative: none), and what may be left out. */
  public record Settings(Engine engine, double minIdf, Approximation approximation) {
    /** See {@link Approximation}. */
    public Settings(String engine, double minIdf, double alpha, int blocks, double beta, int candidates) {
      this(Engine.valueOf(engine.toUpperCase()), minIdf, new Approximation(alpha, blocks, beta, candidates));
    }
  }

  /**
   * Searches a batch of queries.
   *
   * @param batch int count; per query: int terms, int[terms] impacts (at least 1), int[terms] lengths, the terms end to end
   * @param filter which documents may be hits; {@code null}: all
   * @return per query: int hits; long[hits] scores; int[hits] lucene_docids; int length, and that many bytes: the
   *     docids, a NUL between each two; what {@link Profile} writes
   */
  public byte[] search(byte[] batch, int k, int threads, Settings settings, DocumentFilter filter) throws Exception {
    Packed in = new Packed(batch);
    List<Query> queries = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      Query query = new Query(in.readInt());
      for (int i = 0; i < query.terms.length; i++) {
        query.impacts[i] = in.readInt();
      }
      int[] lengths = new int[query.terms.length];
      for (int i = 0; i < lengths.length; i++) {
        lengths[i] = in.readInt();
      }
      for (int i = 0; i < lengths.length; i++) {
        query.terms[i] = in.readBytes(lengths[i]);
      }
      queries.add(query);
    }
    Search search = new Search(Math.min(k, index.maxDoc()), settings, filter == null ? live : filter);
    byte[][] hits = new byte[queries.size()][];
    if (threads == 1 || queries.size() == 1) {
      for (int i = 0; i < hits.length; i++) {
        hits[i] = search.run(queries.get(i));
      }
    } else {
      searchConcurrently(queries, Math.min(threads, hits.length), search, hits);
    }
    if (hits.length == 1) {
      return hits[0];
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

  private void searchConcurrently(List<Query> queries, int threads, Search search, byte[][] hits)
      throws Exception {
    AtomicInteger next = new AtomicInteger();
    Callable<Void> worker = () -> {
      for (int i = next.getAndIncrement(); i < hits.length; i = next.getAndIncrement()) {
        hits[i] = search.run(queries.get(i));
      }
      return null;
    };
    List<Future<Void>> running = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      try {
        running.add(pool.submit(worker));
      } catch (RejectedExecutionException e) {
        throw new AlreadyClosedException("this searcher is closed", e);
      }
    }
    for (Future<Void> each : running) {
      try {
        each.get();
      } catch (ExecutionException e) {
        throw e.getCause() instanceof Exception cause ? cause : e;
      }
    }
  }

  private record Engines(TermAtATime termAtATime, BlockMax blockMax, StreamedSearch streamed) {}

  private static final class Query {
    final BytesRef[] terms;
    final int[] impacts;

    Query(int size) {
      terms = new BytesRef[size];
      impacts = new int[size];
    }

    /** The terms with the largest impacts, the first of equal ones. */
    Query heaviest(int count) {
      if (count == terms.length) {
        return this;
      }
      Integer[] order = new Integer[terms.length];
      Arrays.setAll(order, i -> i);
      Arrays.sort(order, Comparator.comparingInt(i -> -impacts[i]));
      Query kept = new Query(count);
      for (int i = 0; i < count; i++) {
        kept.terms[i] = terms[order[i]];
        kept.impacts[i] = impacts[order[i]];
      }
      return kept;
    }
  }

  /** What all queries of a batch share. */
  private final class Search {
    private final int depth;
    private final Settings settings;
    private final DocumentFilter filter;

    Search(int depth, Settings settings, DocumentFilter filter) {
      this.depth = depth;
      this.settings = settings;
      this.filter = filter;
    }

    byte[] run(Query query) throws IOException {
      Profile profile = new Profile();
      Query kept = query.heaviest(settings.approximation.terms(query.terms.length));
      boolean isCut = kept != query && settings.approximation.candidates() > 0;
      int wanted = isCut ? Math.min(index.maxDoc(), Math.max(depth, settings.approximation.candidates())) : depth;
      TopHits top = new TopHits(wanted, docids);
      if (depth > 0) {
        Engines engines = spare.poll();
        if (engines == null) {
          engines = new Engines(new TermAtATime(), new BlockMax(), new StreamedSearch());
        }
        for (LeafReaderContext leaf : index.reader.leaves()) {
          searchLeaf(leaf, kept, engines, top, profile);
        }
        spare.offer(engines); // with all sums zero again
        if (isCut) {
          top = scoreAgain(top, query);
        }
      }
      return pack(top, profile);
    }

    private void searchLeaf(LeafReaderContext leaf, Query query, Engines engines, TopHits top, Profile profile)
        throws IOException {
      Terms terms = leaf.reader().terms(Fields.CONTENTS);
      if (terms == null) {
        return;
      }
      QueryLists lists = filter.lists(leaf, query.terms.length);
      boolean isDecoded = collect(leaf, terms, query, lists);
      profile.metDamage |= accelerators[leaf.ord] != null && accelerators[leaf.ord].isDamaged();
      if (!isDecoded || !lists.fitsInt()) {
        List<StreamedSearch.Stream> streams = open(terms, query);
        profile.lookedUp();
        long streamed = 0;
        for (StreamedSearch.Stream stream : streams) {
          streamed += stream.postings().cost();
        }
        engines.streamed.search(streams, lists, top);
        profile.leavesStreamed++;
        profile.postings += streamed;
        profile.postingsScored += streamed;
        profile.scored();
        return;
      }
      profile.lookedUp();
      profile.postings += lists.total();
      top.raise(lists.floor(top.depth()));
      if (isPruned(lists, top.depth())) {
        engines.blockMax.search(lists, top, settings.approximation, settings.engine.rest, profile);
        return;
      }
      engines.termAtATime.search(lists, top);
      profile.leavesByTerm++;
      profile.postingsScored += lists.total();
      profile.scored();
    }

    private boolean isPruned(QueryLists lists, int depth) {
      return switch (settings.engine) {
        case AUTO -> settings.approximation.needsBlocks() || CostModel.mayPrune(depth, lists);
        case BLOCKMAX, MAXSCORE -> true;
        case TAAT -> false;
      };
    }

    /** Finds the lists of a query's terms; false if one of them is not to be had decoded. */
    private boolean collect(LeafReaderContext leaf, Terms terms, Query query, QueryLists lists) throws IOException {
      TermsEnum lookup = null;
      for (int i = 0; i < query.terms.length; i++) {
        ImpactPlanes planes = cache.get(leaf.ord, query.terms[i]);
        if (planes == null) {
          lookup = lookup == null ? terms.iterator() : lookup;
          if (!lookup.seekExact(query.terms[i])) {
            continue;
          }
          planes = cache.load(leaf.ord, query.terms[i], lookup, lists.maxDoc, docFreq(query.terms[i]));
          if (planes == null) {
            return false;
          }
        }
        if (!isCommon(planes.docFreq())) {
          lists.add(planes, query.impacts[i]);
        }
      }
      return true;
    }

    private List<StreamedSearch.Stream> open(Terms terms, Query query) throws IOException {
      List<StreamedSearch.Stream> streams = new ArrayList<>();
      TermsEnum lookup = terms.iterator();
      for (int i = 0; i < query.terms.length; i++) {
        if (lookup.seekExact(query.terms[i]) && !isCommon(docFreq(query.terms[i]))) {
          PostingsEnum postings = lookup.postings(null, PostingsEnum.FREQS);
          postings.nextDoc();
          streams.add(new StreamedSearch.Stream(postings, query.impacts[i]));
        }
      }
      return streams;
    }

    /** Pyserini's rule: a term stays only if its idf is above the limit. */
    private boolean isCommon(int docFreq) {
      return settings.minIdf >= 0 && !(Math.log((double) index.numDocs() / docFreq) > settings.minIdf);
    }

    private int docFreq(BytesRef term) throws IOException {
      return index.reader.docFreq(new Term(Fields.CONTENTS, term));
    }

    /** Scores the hits of a cut query with all of its terms. */
    private TopHits scoreAgain(TopHits candidates, Query query) throws IOException {
      candidates.finish();
      int[] docs = new int[candidates.size()];
      Arrays.setAll(docs, candidates::doc);
      long[] scores = new long[docs.length];
      Arrays.sort(docs);
      int from = 0;
      for (LeafReaderContext leaf : index.reader.leaves()) {
        int to = from;
        while (to < docs.length && docs[to] < leaf.docBase + leaf.reader().maxDoc()) {
          to++;
        }
        Terms terms = from < to ? leaf.reader().terms(Fields.CONTENTS) : null;
        if (terms != null) {
          QueryLists lists = filter.lists(leaf, query.terms.length);
          if (collect(leaf, terms, query, lists) && lists.fitsInt()) {
            for (int i = from; i < to; i++) {
              scores[i] = lists.scoreOf(docs[i] - leaf.docBase);
            }
          } else {
            for (StreamedSearch.Stream stream : open(terms, query)) {
              for (int i = from; i < to; i++) {
                scores[i] += stream.impactOf(docs[i] - leaf.docBase);
              }
            }
          }
        }
        from = to;
      }
      TopHits top = new TopHits(depth, docids);
      for (int i = 0; i < docs.length; i++) {
        if (scores[i] >= top.threshold()) {
          top.offer(scores[i], docs[i]);
        }
      }
      return top;
    }
  }

  private byte[] pack(TopHits top, Profile profile) {
    top.finish();
    int count = top.size();
    int docidBytes = Math.max(0, count - 1);
    for (int i = 0; i < count; i++) {
      docidBytes = Math.addExact(docidBytes, docids.length(top.doc(i)));
    }
    ByteBuffer out = ByteBuffer.allocate(8 + 12 * count + docidBytes + Profile.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(count);
    for (int i = 0; i < count; i++) {
      out.putLong(top.score(i));
    }
    for (int i = 0; i < count; i++) {
      out.putInt(top.doc(i));
    }
    out.putInt(docidBytes);
    int at = out.position();
    for (int i = 0; i < count; i++) {
      if (i > 0) {
        out.array()[at++] = 0;
      }
      at = docids.copy(top.doc(i), out.array(), at);
    }
    profile.write(out.position(at));
    return out.array();
  }

  @Override
  public synchronized void close() throws IOException {
    for (Accelerator each : accelerators) {
      if (each != null) {
        each.close();
      }
    }
    pool.shutdown();
  }
}
