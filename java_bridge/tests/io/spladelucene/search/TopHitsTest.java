package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class TopHitsTest {
  private static final int DOCUMENTS = 3000;
  private static IndexedCollection index;

  private record Offered(long score, int doc) {}

  @BeforeAll
  static void buildIndex() throws IOException {
    List<Doc> documents = RandomCollection.documents(new Random(41), DOCUMENTS, 10, 1, 1);
    index = IndexedCollection.of(documents, 3, doc -> false);
  }

  @AfterAll
  static void closeIndex() throws IOException {
    index.close();
  }

  private static TopHits topHits(int k) throws IOException {
    return new TopHits(k, index.reader.docids());
  }

  private static List<Offered> ranked(TopHits top) {
    top.finish();
    List<Offered> hits = new ArrayList<>();
    for (int rank = 0; rank < top.size(); rank++) {
      hits.add(new Offered(top.score(rank), top.luceneDocid(rank)));
    }
    return hits;
  }

  private static String docid(Offered hit) {
    try {
      return index.reader.docid(hit.doc);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void theBestAreKeptInOrder() throws IOException {
    Random random = new Random(42);
    for (int round = 0; round < 300; round++) {
      int k = 1 + random.nextInt(round % 3 == 0 ? 2000 : 20);
      int scores = 1 + random.nextInt(round % 2 == 0 ? 3 : 10_000);
      TopHits top = topHits(k);
      List<Offered> offered = new ArrayList<>();
      long threshold = top.threshold();
      for (int doc = 0; doc < DOCUMENTS; doc++) {
        Offered hit = new Offered(1 + random.nextInt(scores), doc);
        offered.add(hit);
        if (hit.score >= top.threshold()) {
          top.offer(hit.score, hit.doc);
        }
        assertTrue(top.threshold() >= threshold, "the threshold fell");
        threshold = top.threshold();
        if (doc % 500 == 499) {
          top.tighten();
        }
      }
      offered.sort(
          Comparator.comparingLong(Offered::score).reversed().thenComparing(TopHitsTest::docid));
      assertEquals(offered.subList(0, Math.min(k, DOCUMENTS)), ranked(top), "k = " + k);
    }
  }

  @Test
  void tightenSetsTheThresholdToTheKthScore() throws IOException {
    TopHits top = topHits(3);
    for (int score = 1; score <= 5; score++) {
      top.offer(score, score);
    }
    top.tighten();
    assertEquals(3, top.threshold());
    assertEquals(List.of(new Offered(5, 5), new Offered(4, 4), new Offered(3, 3)), ranked(top));
  }

  @Test
  void theThresholdIsKnownAsSoonAsThereAreKHits() throws IOException {
    TopHits top = topHits(2);
    assertEquals(1, top.threshold());
    top.offer(7, 0);
    assertEquals(1, top.threshold());
    top.offer(9, 1);
    assertEquals(7, top.threshold());
  }

  @Test
  void aThresholdFromElsewhereIsKept() throws IOException {
    TopHits top = topHits(10);
    top.raise(50);
    top.raise(40);
    assertEquals(50, top.threshold());
    top.offer(60, 1);
    assertEquals(50, top.threshold());
    assertEquals(List.of(new Offered(60, 1)), ranked(top));
  }

  @Test
  void equalScoresAreOrderedByDocidAcrossSegments() throws IOException {
    TopHits top = topHits(5);
    List<Offered> offered = new ArrayList<>();
    for (int doc = DOCUMENTS - 1; doc >= 0; doc--) {
      offered.add(new Offered(8, doc));
      top.offer(8, doc);
    }
    offered.sort(Comparator.comparing(TopHitsTest::docid));
    assertEquals(offered.subList(0, 5), ranked(top));
  }
}
