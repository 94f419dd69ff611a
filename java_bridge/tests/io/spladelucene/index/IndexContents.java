package io.spladelucene.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection.Doc;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.Directory;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/** What an index has, read with Lucene alone. */
public final class IndexContents {
  private IndexContents() {}

  /** Checks that an index has these documents, in any order. */
  public static void assertEqual(List<Doc> documents, Directory directory) throws IOException {
    Map<String, TreeMap<String, Integer>> expected = new TreeMap<>();
    documents.forEach(document -> expected.put(document.docid(), document.vector()));
    assertEquals(expected, vectors(directory));
    try (ImpactIndexReader reader = new ImpactIndexReader(directory)) {
      for (String docid : expected.keySet()) {
        assertEquals(docid, reader.docid(reader.luceneDocid(docid)));
      }
      assertEquals(documents.size(), reader.numDocs());
      assertEquals(-1, reader.luceneDocid("unknown"));
    }
  }

  /** The docids of an index without deleted documents, by lucene_docid. */
  static List<String> docids(Directory directory) throws IOException {
    List<String> docids = new ArrayList<>();
    try (ImpactIndexReader reader = new ImpactIndexReader(directory)) {
      for (int doc = 0; doc < reader.maxDoc(); doc++) {
        docids.add(reader.docid(doc));
      }
    }
    return docids;
  }

  private static Map<String, TreeMap<String, Integer>> vectors(Directory directory)
      throws IOException {
    Map<String, TreeMap<String, Integer>> vectors = new TreeMap<>();
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      for (LeafReaderContext leaf : reader.leaves()) {
        Bits live = leaf.reader().getLiveDocs();
        String[] docids = new String[leaf.reader().maxDoc()];
        for (int doc = 0; doc < docids.length; doc++) {
          docids[doc] = leaf.reader().storedFields().document(doc).get(Fields.ID);
          if (live == null || live.get(doc)) {
            vectors.put(docids[doc], new TreeMap<>());
          }
        }
        NumericDocValues norms = leaf.reader().getNormValues(Fields.CONTENTS);
        for (int doc = 0; doc < docids.length; doc++) {
          assertTrue(norms.advanceExact(doc));
          assertEquals(1, norms.longValue());
        }
        Terms terms = leaf.reader().terms(Fields.CONTENTS);
        TermsEnum each = terms.iterator();
        long postingsOfAll = 0;
        for (BytesRef term = each.next(); term != null; term = each.next()) {
          PostingsEnum postings = each.postings(null, PostingsEnum.FREQS);
          int docFreq = 0;
          long total = 0;
          for (int doc = postings.nextDoc();
              doc != PostingsEnum.NO_MORE_DOCS;
              doc = postings.nextDoc()) {
            docFreq++;
            total += postings.freq();
            if (live == null || live.get(doc)) {
              vectors.get(docids[doc]).put(term.utf8ToString(), postings.freq());
            }
          }
          assertEquals(docFreq, each.docFreq());
          assertEquals(total, each.totalTermFreq());
          postingsOfAll += docFreq;
        }
        assertEquals(postingsOfAll, terms.getSumDocFreq());
        assertEquals(docids.length, terms.getDocCount());
      }
    }
    return vectors;
  }
}
