package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.wire.ImpactQuery;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;

/** All engines find the hits that the definition of the score gives. */
class EnginesTest {
  private static final long NO_CACHE = 0; // so that every list is streamed
  private static final long USUAL_CACHE = -1;

  private static SearchSettings settings(Engine engine) {
    return new SearchSettings(engine, -1, Approximation.NONE);
  }

  private static void assertAllFindTheSame(IndexedCollection index, Random random, int queries)
      throws Exception {
    List<String> some =
        index.documents.stream().filter(d -> d.docid().endsWith("7")).map(Doc::docid).toList();
    List<Doc> others = index.documents.stream().filter(d -> !d.docid().endsWith("7")).toList();
    try (ImpactSearcher searcher = new ImpactSearcher(index.reader, USUAL_CACHE, List.of());
        ImpactSearcher streaming = new ImpactSearcher(index.reader, NO_CACHE, List.of())) {
      DocumentFilter filter =
          DocumentFilter.ofDocids(index.reader, some.stream().map(BytesRef::new).toList(), false);
      assertEquals(others.size(), filter.size());
      for (int i = 0; i < queries; i++) {
        ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 300, 25, 100));
        int k = new int[] {1, 10, 1000}[i % 3];
        boolean isFiltered = i % 2 == 1;
        List<IndexedCollection.Hit> expected =
            IndexedCollection.exhaustiveSearch(isFiltered ? others : index.documents, query, k);
        DocumentFilter allowed = isFiltered ? filter : null;
        for (Engine engine : Engine.values()) {
          assertEquals(
              expected,
              index.search(searcher, query, k, settings(engine), allowed).hits(),
              engine + ", k = " + k + ", query " + i);
        }
        assertEquals(
            expected,
            index.search(streaming, query, k, settings(Engine.AUTO), allowed).hits(),
            "streamed, k = " + k + ", query " + i);
      }
    }
  }

  @Test
  void manyTies() throws Exception {
    Random random = new Random(21);
    List<Doc> documents = RandomCollection.documents(random, 6000, 300, 30, 3);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false)) {
      assertAllFindTheSame(index, random, 30);
    }
  }

  @Test
  void segmentsAndDeletedDocuments() throws Exception {
    Random random = new Random(22);
    List<Doc> documents = RandomCollection.documents(random, 5000, 300, 30, 255);
    try (IndexedCollection index =
        IndexedCollection.of(documents, 5, doc -> doc.docid().endsWith("3"))) {
      assertTrue(index.reader.leaves().size() > 1);
      assertAllFindTheSame(index, random, 30);
    }
  }

  @Test
  void impactsOfSeveralBytes() throws Exception {
    Random random = new Random(23);
    List<Doc> documents = RandomCollection.documents(random, 3000, 300, 20, 70_000);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false)) {
      assertAllFindTheSame(index, random, 18);
    }
  }

  @Test
  void scoresThatDoNotFitIntoAnInt() throws Exception {
    Random random = new Random(24);
    List<Doc> documents = RandomCollection.documents(random, 500, 300, 10, 100_000_000);
    try (IndexedCollection index = IndexedCollection.of(documents, 2, doc -> false)) {
      assertAllFindTheSame(index, random, 9);
    }
  }

  @Test
  void severalWindowsOfDocuments() throws Exception {
    Random random = new Random(25);
    List<Doc> documents = RandomCollection.documents(random, 80_000, 300, 6, 40);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false)) {
      assertAllFindTheSame(index, random, 9);
      ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 300, 25, 100));
      try (ImpactSearcher searcher = new ImpactSearcher(index.reader, USUAL_CACHE, List.of())) {
        Profile blockMax =
            index.search(searcher, query, 10, settings(Engine.BLOCKMAX), null).profile();
        assertEquals(1, blockMax.leavesByBlockMax);
        assertTrue(blockMax.blocksScored < blockMax.blocks, "no block was skipped");
        Profile maxScore =
            index.search(searcher, query, 10, settings(Engine.MAXSCORE), null).profile();
        assertEquals(1, maxScore.leavesByMaxScore);
        Profile all = index.search(searcher, query, 10, settings(Engine.TAAT), null).profile();
        assertEquals(1, all.leavesByTerm);
        assertEquals(all.postings, all.postingsScored);
      }
    }
  }

  @Test
  void aCutQueryIsScoredAgainWithAllTerms() throws Exception {
    Random random = new Random(26);
    List<Doc> documents = RandomCollection.documents(random, 2000, 300, 30, 255);
    try (IndexedCollection index = IndexedCollection.of(documents, 3, doc -> false);
        ImpactSearcher searcher = new ImpactSearcher(index.reader, USUAL_CACHE, List.of())) {
      Approximation everyCandidate = new Approximation(1, 0, 0.5, documents.size());
      for (int i = 0; i < 10; i++) {
        ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 300, 20, 100));
        int terms = (int) Math.ceil(0.5 * query.size());
        ImpactQuery kept = query.heaviest(terms);
        List<Doc> candidates =
            documents.stream().filter(document -> document.score(kept) > 0).toList();
        SearchSettings settings = new SearchSettings(Engine.AUTO, -1, everyCandidate);
        assertEquals(
            IndexedCollection.exhaustiveSearch(candidates, query, 10),
            index.search(searcher, query, 10, settings, null).hits());
      }
    }
  }

  @Test
  void approximateHitsHaveExactScores() throws Exception {
    Random random = new Random(27);
    List<Doc> documents = RandomCollection.documents(random, 10_000, 300, 30, 255);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, doc -> false);
        ImpactSearcher searcher = new ImpactSearcher(index.reader, USUAL_CACHE, List.of())) {
      for (int i = 0; i < 10; i++) {
        ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 300, 20, 100));
        Approximation approximation = new Approximation(0.7, 20, 1, 0);
        IndexedCollection.Found found =
            index.search(
                searcher, query, 10, new SearchSettings(Engine.AUTO, -1, approximation), null);
        assertTrue(found.profile().blocksScored <= 20, found.profile().blocksScored + " blocks");
        List<IndexedCollection.Hit> all =
            IndexedCollection.exhaustiveSearch(documents, query, documents.size());
        assertTrue(all.containsAll(found.hits()));
      }
    }
  }

  @Test
  void termsBelowTheIdfAreIgnored() throws Exception {
    Random random = new Random(28);
    List<Doc> documents = RandomCollection.documents(random, 1000, 50, 20, 255);
    try (IndexedCollection index = IndexedCollection.of(documents, 2, doc -> false);
        ImpactSearcher searcher = new ImpactSearcher(index.reader, USUAL_CACHE, List.of())) {
      double minIdf = Math.log(1000 / 100.0);
      ImpactQuery query = RandomCollection.query(RandomCollection.vector(random, 50, 20, 100));
      TreeMap<String, Integer> rare = new TreeMap<>();
      for (int i = 0; i < query.size(); i++) {
        String term = query.terms()[i].utf8ToString();
        long docFreq = documents.stream().filter(d -> d.vector().containsKey(term)).count();
        if (docFreq > 0 && Math.log(1000.0 / docFreq) > minIdf) {
          rare.put(term, query.impacts()[i]);
        }
      }
      assertTrue(!rare.isEmpty() && rare.size() < query.size());
      for (Engine engine : Engine.values()) {
        assertEquals(
            IndexedCollection.exhaustiveSearch(documents, RandomCollection.query(rare), 20),
            index
                .search(
                    searcher,
                    query,
                    20,
                    new SearchSettings(engine, minIdf, Approximation.NONE),
                    null)
                .hits());
      }
    }
  }
}
