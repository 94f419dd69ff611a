package io.spladelucene.join;

import org.apache.lucene.index.CodecReader;
import org.apache.lucene.index.FilterCodecReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.FixedBitSet;

/**
 * A segment in which some documents count as deleted. It is open as long as the segment is, and
 * need not be closed.
 */
final class HidingReader extends FilterCodecReader {
  private final FixedBitSet live;
  private final int numDocs;

  /**
   * Hides documents.
   *
   * @param segment a {@link CodecReader}, as all segments of an open index are
   */
  HidingReader(LeafReader segment, FixedBitSet hidden) {
    super((CodecReader) segment);
    live = new FixedBitSet(segment.maxDoc());
    Bits before = segment.getLiveDocs();
    for (int doc = 0; doc < segment.maxDoc(); doc++) {
      if ((before == null || before.get(doc)) && !hidden.get(doc)) {
        live.set(doc);
      }
    }
    numDocs = live.cardinality();
  }

  @Override
  public Bits getLiveDocs() {
    return live;
  }

  @Override
  public int numDocs() {
    return numDocs;
  }

  @Override
  public CacheHelper getCoreCacheHelper() {
    return in.getCoreCacheHelper();
  }

  @Override
  public CacheHelper getReaderCacheHelper() {
    return null; // the deleted documents are not those of the segment
  }

  @Override
  protected void doClose() {
    // The segment belongs to its index.
  }
}
