package io.spladelucene.search;

import java.io.IOException;
import java.util.List;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FilterDirectoryReader;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.util.Bits;

/**
 * An index whose other documents appear to be deleted, so that Lucene's own searches find only
 * those of a {@link DocumentFilter}. The statistics of terms are those of the whole index, as
 * always with deleted documents.
 */
public final class FilteredReader extends FilterDirectoryReader {
  private FilteredReader(DirectoryReader index, DocumentFilter filter) throws IOException {
    super(index, new Segments(filter));
  }

  /** Presents an open index, which stays open when this reader is closed. */
  public static FilteredReader of(DirectoryReader index, DocumentFilter filter) throws IOException {
    index.incRef();
    try {
      return new FilteredReader(index, filter);
    } catch (Throwable e) {
      index.decRef();
      throw e;
    }
  }

  @Override
  protected DirectoryReader doWrapDirectoryReader(DirectoryReader index) {
    throw new UnsupportedOperationException("a filter belongs to one commit");
  }

  @Override
  protected void doClose() throws IOException {
    in.decRef();
  }

  @Override
  public CacheHelper getReaderCacheHelper() {
    return null;
  }

  private static final class Segments extends SubReaderWrapper {
    private final DocumentFilter filter;

    Segments(DocumentFilter filter) {
      this.filter = filter;
    }

    @Override
    protected LeafReader[] wrap(List<? extends LeafReader> readers) {
      LeafReader[] wrapped = new LeafReader[readers.size()];
      for (int ord = 0; ord < wrapped.length; ord++) {
        LeafReader reader = readers.get(ord);
        Bits accepted = filter.accepted(ord, reader.maxDoc());
        int count = filter.acceptedCount(ord, reader.maxDoc());
        wrapped[ord] = accepted == null ? reader : new Segment(reader, accepted, count);
      }
      return wrapped;
    }

    @Override
    public LeafReader wrap(LeafReader reader) {
      throw new UnsupportedOperationException("segments are wrapped together");
    }
  }

  private static final class Segment extends FilterLeafReader {
    private final Bits accepted;
    private final int count;

    Segment(LeafReader in, Bits accepted, int count) {
      super(in);
      this.accepted = accepted;
      this.count = count;
    }

    @Override
    public Bits getLiveDocs() {
      return accepted;
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
