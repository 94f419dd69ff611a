package io.spladelucene;

import java.io.IOException;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.util.Bits;

/** Which documents of an open index may be hits: those that are not deleted, or some of them. */
public final class DocumentFilter {
  private final long[][] accepted; // per leaf: a bit a document, or null for all
  private final int[] excluded; // per leaf
  private final int size;

  /** All documents that are not deleted. */
  DocumentFilter(ImpactIndexReader index) {
    int leaves = index.reader.leaves().size();
    accepted = new long[leaves][];
    excluded = new int[leaves];
    for (LeafReaderContext leaf : index.reader.leaves()) {
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
   * Some documents, or all others. Docids that are not there are passed over.
   *
   * @param docids int count; per docid: docid
   * @param keep whether they are those that may be hits, or those that may not
   */
  public DocumentFilter(ImpactIndexReader index, byte[] docids, boolean keep) throws IOException {
    DocumentFilter live = new DocumentFilter(index);
    int leaves = index.reader.leaves().size();
    accepted = new long[leaves][];
    excluded = new int[leaves];
    for (LeafReaderContext leaf : index.reader.leaves()) {
      accepted[leaf.ord] = new long[words(leaf)];
    }
    Packed in = new Packed(docids);
    for (int left = in.readInt(); left > 0; left--) {
      Term docid = new Term(Fields.ID, in.readBytes());
      for (LeafReaderContext leaf : index.reader.leaves()) { // others than us let several documents have one docid
        PostingsEnum found = leaf.reader().postings(docid, PostingsEnum.NONE);
        for (int doc = next(found); doc != PostingsEnum.NO_MORE_DOCS; doc = next(found)) {
          if ((live.word(leaf, doc >> 6) >>> doc & 1) != 0) {
            accepted[leaf.ord][doc >> 6] |= 1L << doc;
          }
        }
      }
    }
    int count = 0;
    for (LeafReaderContext leaf : index.reader.leaves()) {
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

  private long word(LeafReaderContext leaf, int word) {
    if (accepted[leaf.ord] != null) {
      return accepted[leaf.ord][word];
    }
    int left = leaf.reader().maxDoc() - (word << 6);
    return left >= 64 ? -1L : (1L << left) - 1;
  }

  /** Documents that may be hits. */
  public int size() {
    return size;
  }

  /** What a leaf's documents meet; the terms are still to come. */
  QueryLists lists(LeafReaderContext leaf, int terms) {
    return new QueryLists(terms, leaf.docBase, leaf.reader().maxDoc(), accepted[leaf.ord], excluded[leaf.ord]);
  }
}
