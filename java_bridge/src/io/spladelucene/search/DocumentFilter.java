package io.spladelucene.search;

import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import java.io.IOException;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/** The documents of an open index that are accepted as hits: all that are not deleted, or some. */
public final class DocumentFilter {
  private final long[][] accepted; // by segment: a bit for each document; null: all
  private final int[] excluded; // by segment: the number of documents that are not accepted
  private final int size;

  /** Accepts all documents that are not deleted. */
  DocumentFilter(ImpactIndexReader index) {
    int leaves = index.leaves().size();
    accepted = new long[leaves][];
    excluded = new int[leaves];
    for (LeafReaderContext leaf : index.leaves()) {
      Bits live = leaf.reader().getLiveDocs();
      if (live != null) {
        long[] bits = new long[words(leaf)];
        for (int doc = 0; doc < live.length(); doc++) {
          if (live.get(doc)) {
            bits[doc >> 6] |= 1L << doc;
          }
        }
        accepted[leaf.ord] = bits;
        excluded[leaf.ord] = leaf.reader().numDeletedDocs();
      }
    }
    size = index.numDocs();
  }

  /**
   * Accepts the documents with some docids, or all others. Deleted documents are never accepted,
   * and docids that the index lacks are ignored.
   *
   * @param keep whether the documents with these docids are accepted; otherwise all others are
   */
  DocumentFilter(ImpactIndexReader index, Iterable<BytesRef> docids, boolean keep)
      throws IOException {
    DocumentFilter live = new DocumentFilter(index);
    int leaves = index.leaves().size();
    accepted = new long[leaves][];
    excluded = new int[leaves];
    for (LeafReaderContext leaf : index.leaves()) {
      accepted[leaf.ord] = new long[words(leaf)];
    }
    for (BytesRef docid : docids) {
      Term term = new Term(Fields.ID, docid);
      // In an index that another program wrote, several documents may have the same docid.
      for (LeafReaderContext leaf : index.leaves()) {
        PostingsEnum found = leaf.reader().postings(term, PostingsEnum.NONE);
        for (int doc = next(found); doc != PostingsEnum.NO_MORE_DOCS; doc = next(found)) {
          if ((live.word(leaf, doc >> 6) >>> doc & 1) != 0) {
            accepted[leaf.ord][doc >> 6] |= 1L << doc;
          }
        }
      }
    }
    int count = 0;
    for (LeafReaderContext leaf : index.leaves()) {
      int ofLeaf = 0;
      long[] bits = accepted[leaf.ord];
      for (int word = 0; word < bits.length; word++) {
        if (!keep) {
          bits[word] = ~bits[word] & live.word(leaf, word);
        }
        ofLeaf += Long.bitCount(bits[word]);
      }
      excluded[leaf.ord] = leaf.reader().maxDoc() - ofLeaf;
      count += ofLeaf;
    }
    size = count;
  }

  private static int next(PostingsEnum documents) throws IOException {
    return documents == null ? PostingsEnum.NO_MORE_DOCS : documents.nextDoc();
  }

  private static int words(LeafReaderContext leaf) {
    return (leaf.reader().maxDoc() - 1 >> 6) + 1;
  }

  /** A word of the accepted documents of a segment. */
  private long word(LeafReaderContext leaf, int word) {
    if (accepted[leaf.ord] != null) {
      return accepted[leaf.ord][word];
    }
    int left = leaf.reader().maxDoc() - (word << 6);
    return left >= 64 ? -1L : (1L << left) - 1;
  }

  /** The number of documents that are accepted. */
  public int size() {
    return size;
  }

  /** The lists of a segment for a query, with no list yet. */
  QueryLists lists(LeafReaderContext leaf, int terms) {
    return new QueryLists(
        terms, leaf.docBase, leaf.reader().maxDoc(), accepted[leaf.ord], excluded[leaf.ord]);
  }
}
