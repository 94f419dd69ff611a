package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.wire.ImpactQuery;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;

/** A search that is stopped throws, wherever it is, and the next one is not affected. */
class CancellationTest {
  private static final SearchSettings AUTO =
      new SearchSettings(Engine.AUTO, -1, Approximation.NONE);

  /** Stops a search when it asks for the n-th time. */
  private static final class AtQuestion extends Cancellation {
    private int left;

    AtQuestion(int number) {
      left = number;
    }

    @Override
    public boolean isCancelled() {
      return --left <= 0;
    }
  }

  /**
   * Stops a search at its first question, its second and so on, until it ends before it is stopped.
   *
   * @return the number of questions of a whole search
   */
  private static int stopEverywhere(
      IndexedCollection index,
      ImpactSearcher searcher,
      ImpactQuery query,
      SearchSettings settings,
      DocumentFilter filter)
      throws Exception {
    List<IndexedCollection.Hit> expected =
        index.search(searcher, query, 10, settings, filter).hits();
    assertFalse(expected.isEmpty());
    for (int number = 1; ; number++) {
      Cancellation cancellation = new AtQuestion(number);
      try {
        assertEquals(
            expected,
            index.search(searcher, query, 10, settings, filter, cancellation).hits(),
            "stopped at " + number);
        return number - 1;
      } catch (CancellationException stopped) {
        assertEquals(expected, index.search(searcher, query, 10, settings, filter).hits());
      }
    }
  }

  @Test
  void aStoppedSearchThrowsWhereverItIs() throws Exception {
    Random random = new Random(31);
    // three windows of documents
    List<Doc> documents = RandomCollection.documents(random, 150_000, 300, 6, 40);
    List<BytesRef> few =
        documents.stream()
            .map(Doc::docid)
            .filter(d -> d.endsWith("77"))
            .map(BytesRef::new)
            .toList();
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false);
        ImpactSearcher searcher = new ImpactSearcher(index.reader, -1, List.of());
        ImpactSearcher streaming = new ImpactSearcher(index.reader, 0, List.of())) {
      ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 300, 25, 100));
      int lists = query.size();
      for (Engine engine : Engine.values()) {
        SearchSettings settings = new SearchSettings(engine, -1, Approximation.NONE);
        int asked = stopEverywhere(index, searcher, query, settings, null);
        int least = engine == Engine.TAAT ? 3 * lists / 2 : engine == Engine.MAXSCORE ? 4 : 3;
        assertTrue(asked >= least, engine + " asked " + asked + " times");
      }
      assertTrue(stopEverywhere(index, streaming, query, AUTO, null) >= 150_000 >> 13);
      DocumentFilter filter = DocumentFilter.ofDocids(index.reader, few, true);
      assertTrue(stopEverywhere(index, searcher, query, AUTO, filter) > lists / 2);
      SearchSettings again = new SearchSettings(Engine.AUTO, -1, new Approximation(1, 0, 0.5, 50));
      assertTrue(stopEverywhere(index, searcher, query, again, null) > 50);
    }
  }

  @Test
  void anotherThreadStopsAllQueriesOfABatch() throws Exception {
    Random random = new Random(32);
    List<Doc> documents = RandomCollection.documents(random, 2000, 300, 30, 255);
    try (IndexedCollection index = IndexedCollection.of(documents, 2, doc -> false);
        ImpactSearcher searcher = new ImpactSearcher(index.reader, -1, List.of())) {
      ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 300, 25, 100));
      List<ImpactQuery> endless = Collections.nCopies(Integer.MAX_VALUE / 8, query);
      for (int threads : new int[] {1, 3}) {
        Cancellation cancellation = new Cancellation();
        CountDownLatch begun = new CountDownLatch(50);
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread thread =
            new Thread(
                () ->
                    thrown.set(
                        assertThrows(
                            CancellationException.class,
                            () ->
                                searcher.forEach(
                                    endless.size(),
                                    threads,
                                    i -> {
                                      begun.countDown();
                                      index.search(
                                          searcher, endless.get(i), 10, AUTO, null, cancellation);
                                    }))));
        thread.start();
        begun.await();
        cancellation.cancel();
        thread.join(60_000);
        assertFalse(thread.isAlive());
        assertNotNull(thrown.get());
      }
      assertEquals(
          IndexedCollection.exhaustiveSearch(documents, query, 10),
          index.search(searcher, query, 10, AUTO, null).hits());
    }
  }

  @Test
  void whatIsStoppedBeforeItBeginsFindsNothing() throws Exception {
    Random random = new Random(33);
    List<Doc> documents = RandomCollection.documents(random, 100, 50, 10, 255);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false);
        ImpactSearcher searcher = new ImpactSearcher(index.reader, -1, List.of())) {
      ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 50, 10, 100));
      Cancellation cancelled = new Cancellation();
      cancelled.cancel();
      List<ImpactQuery> queries = List.of(query);
      assertThrows(
          CancellationException.class,
          () -> index.search(searcher, query, 10, AUTO, null, cancelled));
      assertThrows(
          CancellationException.class,
          () -> searcher.scores(queries, List.of(new int[] {1, 2}), 1, AUTO, cancelled));
      assertThrows(
          CancellationException.class,
          () ->
              searcher.expand(
                  queries, 10, 1, AUTO, null, cancelled, new Rm3(10, 10, 0.5f, false, true)));
    }
  }
}
