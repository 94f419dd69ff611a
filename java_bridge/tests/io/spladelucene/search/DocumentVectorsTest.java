package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.index.Fields;
import io.spladelucene.postings.ForwardPostings;
import io.spladelucene.wire.ImpactQuery;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.Terms;
import org.junit.jupiter.api.Test;

/** The vectors of documents are those that were indexed, whether they are looked up or kept. */
class DocumentVectorsTest {
  private static final long NO_ROOM = 0;
  private static final long ROOM = 1L << 30;

  private static void assertAllAreRead(IndexedCollection index, DocumentVectors vectors, int step)
      throws IOException {
    Map<String, TreeMap<String, Integer>> expected = new HashMap<>();
    index.documents.forEach(document -> expected.put(document.docid(), document.vector()));
    int[] docs = new int[index.documents.size()];
    for (int i = 0; i < docs.length; i++) {
      docs[i] = index.reader.luceneDocid(index.documents.get(i).docid());
    }
    Arrays.sort(docs);
    for (int from = 0; from < docs.length; from += step) {
      int[] some = Arrays.copyOfRange(docs, from, Math.min(docs.length, from + step));
      List<ImpactQuery> found = vectors.of(some);
      assertEquals(some.length, found.size());
      for (int i = 0; i < some.length; i++) {
        String docid = index.reader.docid(some[i]);
        ImpactQuery query = RandomCollection.query(expected.get(docid));
        assertArrayEquals(query.terms(), found.get(i).terms(), docid); // ASCII, so both are sorted
        assertArrayEquals(query.impacts(), found.get(i).impacts(), docid);
      }
    }
  }

  private static void assertReadBothWays(IndexedCollection index) throws IOException {
    for (long room : new long[] {NO_ROOM, ROOM}) {
      assertAllAreRead(index, new DocumentVectors(index.reader, room), 100);
    }
    DocumentVectors vectors = new DocumentVectors(index.reader, ROOM);
    assertAllAreRead(index, vectors, index.documents.size()); // kept from the first call on
    assertAllAreRead(index, vectors, 7);
  }

  @Test
  void segmentsAndDeletedDocuments() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(31), 700, 300, 30, 255);
    try (IndexedCollection index =
        IndexedCollection.of(documents, 5, doc -> doc.docid().endsWith("3"))) {
      assertReadBothWays(index);
    }
  }

  @Test
  void severalBlocksOfDocuments() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(32), 9000, 100, 6, 20);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false)) {
      assertAllAreRead(index, new DocumentVectors(index.reader, ROOM), 2000);
    }
  }

  @Test
  void largeImpactsAndManyTerms() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(33), 200, 40_000, 60, 30_000_000);
    try (IndexedCollection index = IndexedCollection.of(documents, 2, doc -> false)) {
      assertReadBothWays(index);
    }
  }

  @Test
  void threadsThatMeetWhileVectorsAreBuilt() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(35), 2000, 300, 30, 255);
    try (IndexedCollection index =
            IndexedCollection.of(documents, 4, doc -> doc.docid().endsWith("3"));
        ExecutorService pool = Executors.newFixedThreadPool(8)) {
      for (int round = 0; round < 5; round++) {
        DocumentVectors vectors = new DocumentVectors(index.reader, ROOM);
        CountDownLatch start = new CountDownLatch(1);
        List<Future<?>> running = new ArrayList<>();
        for (int thread = 0; thread < 8; thread++) {
          int step = 50 + thread;
          running.add(
              pool.submit(
                  () -> {
                    start.await();
                    assertAllAreRead(index, vectors, step);
                    return null;
                  }));
        }
        start.countDown();
        for (Future<?> each : running) {
          each.get();
        }
      }
    }
  }

  @Test
  void theEstimateIsNotTooLow() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(36), 300, 20_000, 60, 16_383);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false)) {
      LeafReader segment = index.reader.leaves().get(0).reader();
      Terms terms = segment.terms(Fields.CONTENTS);
      long estimate = ForwardPostings.estimate(terms, segment.maxDoc());
      long bytes = ForwardPostings.of(terms, null, segment.maxDoc()).bytes();
      assertTrue(bytes <= estimate && estimate < 2 * bytes, bytes + " " + estimate);
    }
  }

  @Test
  void noDocuments() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(34), 3, 10, 3, 9);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> true)) {
      assertEquals(List.of(), new DocumentVectors(index.reader, ROOM).of(new int[0]));
    }
  }
}
