package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.index.Fields;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.Impacts;
import org.apache.lucene.index.ImpactsEnum;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.MultiReader;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;

/** Lucene's search of accepted documents finds what it finds among all, and reads little more. */
class FilteredReaderTest {
  private static final int DOCUMENTS = 4000;

  private static BooleanQuery query(TreeMap<String, Integer> vector) {
    BooleanQuery.Builder query = new BooleanQuery.Builder();
    for (String term : vector.keySet()) {
      query.add(new TermQuery(new Term(Fields.CONTENTS, term)), BooleanClause.Occur.SHOULD);
    }
    return query.build();
  }

  /** The hits among all documents that have one of some docids: document and score of each. */
  private static List<String> expected(
      IndexedCollection index, BooleanQuery query, Set<String> docids, int k) throws IOException {
    IndexSearcher searcher = new IndexSearcher(index.reader.lucene());
    List<String> found = new ArrayList<>();
    for (ScoreDoc hit : searcher.search(query, DOCUMENTS).scoreDocs) {
      if (docids.contains(index.reader.docid(hit.doc)) && found.size() < k) {
        found.add(hit.doc + " " + hit.score);
      }
    }
    return found;
  }

  @Test
  void testHitsAreThoseAmongAllDocuments() throws Exception {
    Random random = new Random(7);
    List<Doc> documents = RandomCollection.documents(random, DOCUMENTS, 300, 20, 100);
    for (int segments : new int[] {1, 3}) {
      try (IndexedCollection index =
          IndexedCollection.of(documents, segments, document -> document.docid().endsWith("7"))) {
        for (int share : new int[] {1, 2, 10, 200, DOCUMENTS}) {
          Set<String> docids =
              documents.stream()
                  .filter(document -> random.nextInt(share) == 0)
                  .map(Doc::docid)
                  .collect(Collectors.toSet());
          List<BytesRef> accepted = docids.stream().map(BytesRef::new).toList();
          DocumentFilter filter = DocumentFilter.ofDocids(index.reader, accepted, true);
          try (FilteredReader reader = new FilteredReader(index.reader.lucene(), filter)) {
            IndexSearcher searcher = new IndexSearcher(reader);
            for (int i = 0; i < 20; i++) {
              BooleanQuery query = query(RandomCollection.vector(random, 300, 1 + i % 12, 100));
              for (int k : new int[] {3, DOCUMENTS}) {
                List<String> found =
                    Arrays.stream(searcher.search(query, k).scoreDocs)
                        .map(hit -> hit.doc + " " + hit.score)
                        .toList();
                assertEquals(expected(index, query, docids, k), found);
              }
            }
          }
        }
      }
    }
  }

  @Test
  void testOtherDocumentsAreSkippedWhereFewAreAccepted() throws Exception {
    List<Doc> documents = RandomCollection.documents(new Random(8), DOCUMENTS, 20, 20, 100);
    try (IndexedCollection index = IndexedCollection.of(documents, 1, document -> false)) {
      AtomicLong reads = new AtomicLong();
      MultiReader counted =
          new MultiReader(new Counting(index.reader.leaves().get(0).reader(), reads));
      List<BytesRef> some = List.of(new BytesRef("d17"), new BytesRef("d3000"));
      DocumentFilter filter = DocumentFilter.ofDocids(index.reader, some, true);
      BooleanQuery query = query(new TreeMap<>(documents.get(0).vector()));
      try (FilteredReader reader = new FilteredReader(counted, filter)) {
        new IndexSearcher(reader).search(query, 10);
      }
      long most = 4L * documents.get(0).vector().size(); // both documents, and the end
      assertTrue(reads.get() > 0 && reads.get() <= most, reads + " of at most " + most);
    }
  }

  /** Counts the postings that are read. */
  private static final class Counting extends FilterLeafReader {
    private final AtomicLong reads;

    Counting(LeafReader in, AtomicLong reads) {
      super(in);
      this.reads = reads;
    }

    @Override
    public Terms terms(String field) throws IOException {
      return new FilterTerms(in.terms(field)) {
        @Override
        public TermsEnum iterator() throws IOException {
          return new FilterTermsEnum(in.iterator()) {
            @Override
            public PostingsEnum postings(PostingsEnum reuse, int flags) throws IOException {
              return new CountingPostings(in.impacts(flags), reads);
            }

            @Override
            public ImpactsEnum impacts(int flags) throws IOException {
              return new CountingPostings(in.impacts(flags), reads);
            }
          };
        }
      };
    }

    @Override
    public CacheHelper getCoreCacheHelper() {
      return null;
    }

    @Override
    public CacheHelper getReaderCacheHelper() {
      return null;
    }
  }

  private static final class CountingPostings extends ImpactsEnum {
    private final ImpactsEnum in;
    private final AtomicLong reads;

    CountingPostings(ImpactsEnum in, AtomicLong reads) {
      this.in = in;
      this.reads = reads;
    }

    @Override
    public int nextDoc() throws IOException {
      reads.incrementAndGet();
      return in.nextDoc();
    }

    @Override
    public int advance(int target) throws IOException {
      reads.incrementAndGet();
      return in.advance(target);
    }

    @Override
    public int docID() {
      return in.docID();
    }

    @Override
    public long cost() {
      return in.cost();
    }

    @Override
    public int freq() throws IOException {
      return in.freq();
    }

    @Override
    public void advanceShallow(int target) throws IOException {
      in.advanceShallow(target);
    }

    @Override
    public Impacts getImpacts() throws IOException {
      return in.getImpacts();
    }

    @Override
    public int nextPosition() {
      return -1;
    }

    @Override
    public int startOffset() {
      return -1;
    }

    @Override
    public int endOffset() {
      return -1;
    }

    @Override
    public BytesRef getPayload() {
      return null;
    }
  }
}
