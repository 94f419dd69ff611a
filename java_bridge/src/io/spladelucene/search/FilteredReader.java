package io.spladelucene.search;

import java.io.IOException;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.MultiReader;
import org.apache.lucene.index.Terms;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.FixedBitSet;

/**
 * An index whose other documents appear to be deleted, so that Lucene's own searches find only
 * those of a {@link DocumentFilter}; they skip the others if they are few. The statistics of terms
 * are those of the whole index, as always with deleted documents. The index must stay open
 * meanwhile, and need not be closed here.
 */
public final class FilteredReader extends MultiReader {
  /** Presents the documents of an open index that a filter accepts. */
  public FilteredReader(IndexReader index, DocumentFilter filter) throws IOException {
    super(segments(index, filter), false);
  }

  private static LeafReader[] segments(IndexReader index, DocumentFilter filter) {
    LeafReader[] segments = new LeafReader[index.leaves().size()];
    for (LeafReaderContext leaf : index.leaves()) {
      LeafReader reader = leaf.reader();
      FixedBitSet accepted = filter.accepted(leaf.ord, reader.maxDoc());
      int count = filter.acceptedCount(leaf.ord, reader.maxDoc());
      segments[leaf.ord] = accepted == null ? reader : new Segment(reader, accepted, count);
    }
    return segments;
  }

  private static final class Segment extends FilterLeafReader {
    private final FixedBitSet accepted;
    private final int count;

    Segment(LeafReader in, FixedBitSet accepted, int count) {
      super(in);
      this.accepted = accepted;
      this.count = count;
    }

    @Override
    public Bits getLiveDocs() {
      return accepted.asReadOnlyBits();
    }

    @Override
    public Terms terms(String field) throws IOException {
      Terms terms = in.terms(field);
      return terms == null ? null : new AcceptedTerms(terms, accepted, count);
    }

    @Override
    public int numDocs() {
      return count;
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
}
