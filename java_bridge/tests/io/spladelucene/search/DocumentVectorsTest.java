package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.wire.ImpactQuery;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
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
  void noDocuments() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(34), 3, 10, 3, 9);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> true)) {
      assertEquals(List.of(), new DocumentVectors(index.reader, ROOM).of(new int[0]));
    }
  }
}
