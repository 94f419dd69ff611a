package io.spladelucene.search;

import io.spladelucene.fields.StoredValues;
import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import java.io.IOException;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Term;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.FixedBitSet;

/** The documents of an open index that are accepted as hits: all that are not deleted, or some. */
public final class DocumentFilter {
  private static final int SHARE_OF_HEAP = 128; // what the selections of a filter may take

  private final ImpactIndexReader index;
  private final AcceptedDocuments[] accepted; // by segment; null: all
  private final int size;

  /**
   * Accepts some documents.
   *
   * @param accepted by segment; {@code null}: all of the segment
   */
  private DocumentFilter(ImpactIndexReader index, long[][] accepted) {
    this.index = index;
    this.accepted = new AcceptedDocuments[accepted.length];
    long budget = Runtime.getRuntime().maxMemory() / SHARE_OF_HEAP / Math.max(1, accepted.length);
    int count = 0;
    for (LeafReaderContext leaf : index.leaves()) {
      int maxDoc = leaf.reader().maxDoc();
      if (accepted[leaf.ord] != null) {
        this.accepted[leaf.ord] = new AcceptedDocuments(accepted[leaf.ord], maxDoc, budget);
      }
      count += acceptedCount(leaf.ord, maxDoc);
    }
    size = count;
  }

  /** Accepts all documents that are not deleted. */
  static DocumentFilter live(ImpactIndexReader index) {
    long[][] accepted = new long[index.leaves().size()][];
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
      }
    }
    return new DocumentFilter(index, accepted);
  }

  /**
   * Accepts the documents with some docids, or all others. Deleted documents are never accepted,
   * and docids that the index lacks are ignored.
   *
   * @param keep whether the documents with these docids are accepted; otherwise all others are
   */
  static DocumentFilter ofDocids(ImpactIndexReader index, Iterable<BytesRef> docids, boolean keep)
      throws IOException {
    DocumentFilter live = live(index);
    long[][] accepted = new long[index.leaves().size()][];
    for (LeafReaderContext leaf : index.leaves()) {
      accepted[leaf.ord] = new long[words(leaf)];
    }
    for (BytesRef docid : docids) {
      Term term = new Term(Fields.ID, docid);
      // In an index that another program wrote, several documents may have the same docid.
      for (LeafReaderContext leaf : index.leaves()) {
        PostingsEnum found = leaf.reader().postings(term, PostingsEnum.NONE);
        for (int doc = next(found); doc != PostingsEnum.NO_MORE_DOCS; doc = next(found)) {
          accepted[leaf.ord][doc >> 6] |= 1L << doc;
        }
      }
    }
    for (LeafReaderContext leaf : index.leaves()) {
      long[] bits = accepted[leaf.ord];
      for (int word = 0; word < bits.length; word++) {
        bits[word] = (keep ? bits[word] : ~bits[word]) & live.word(leaf, word);
      }
    }
    return new DocumentFilter(index, accepted);
  }

  /**
   * Accepts the documents that fulfil a condition and are not deleted.
   *
   * @throws java.util.concurrent.CancellationException if the search is stopped
   */
  static DocumentFilter of(
      ImpactIndexReader index, FieldCondition condition, Cancellation cancellation)
      throws IOException {
    DocumentFilter live = live(index);
    long[][] accepted = new long[index.leaves().size()][];
    for (LeafReaderContext leaf : index.leaves()) {
      cancellation.check();
      accepted[leaf.ord] = condition.documents(leaf.reader(), cancellation);
    }
    return live.and(new DocumentFilter(index, accepted));
  }

  /** Accepts the documents that both filters accept. */
  DocumentFilter and(DocumentFilter other) {
    long[][] both = new long[accepted.length][];
    for (LeafReaderContext leaf : index.leaves()) {
      both[leaf.ord] = new long[words(leaf)];
      for (int word = 0; word < both[leaf.ord].length; word++) {
        both[leaf.ord][word] = word(leaf, word) & other.word(leaf, word);
      }
    }
    return new DocumentFilter(index, both);
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
      return accepted[leaf.ord].bits[word];
    }
    int left = leaf.reader().maxDoc() - (word << 6);
    return left >= 64 ? -1L : (1L << left) - 1;
  }

  /** The number of documents that are accepted. */
  public int size() {
    return size;
  }

  /**
   * In how many accepted documents each keyword of a field occurs, as {@link StoredValues} says.
   */
  public byte[] keywordCounts(String field) throws IOException {
    StoredValues.KeywordCounts counts = new StoredValues.KeywordCounts();
    for (LeafReaderContext leaf : index.leaves()) {
      int maxDoc = leaf.reader().maxDoc();
      int[] docs = new int[acceptedCount(leaf.ord, maxDoc)];
      int count = 0;
      for (int doc = 0; doc < maxDoc; doc++) {
        if ((word(leaf, doc >> 6) >>> doc & 1) != 0) {
          docs[count++] = doc;
        }
      }
      counts.add(leaf.reader(), field, docs);
    }
    return counts.toByteArray();
  }

  /** The documents of a segment that are accepted; {@code null}: all. */
  FixedBitSet accepted(int segment, int maxDoc) {
    return accepted[segment] == null ? null : new FixedBitSet(accepted[segment].bits, maxDoc);
  }

  /** The number of documents of a segment that are accepted. */
  int acceptedCount(int segment, int maxDoc) {
    return accepted[segment] == null ? maxDoc : accepted[segment].count;
  }

  /** The few documents of a segment that are accepted; {@code null} if they are not few. */
  Selection selection(LeafReaderContext leaf) {
    return accepted[leaf.ord] == null ? null : accepted[leaf.ord].selection;
  }

  /** The lists of a segment for a query, with no list yet. */
  QueryLists lists(LeafReaderContext leaf, int terms) {
    return new QueryLists(terms, leaf.docBase, leaf.reader().maxDoc(), accepted[leaf.ord]);
  }
}
