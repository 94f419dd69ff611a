package io.spladelucene.index;

import java.io.IOException;
import java.util.List;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.MultiReader;

/** Several open indexes as one. It keeps them open until it is closed. */
final class JoinedReader extends MultiReader {
  private final List<IndexReader> indexes;

  /**
   * Joins indexes.
   *
   * @param leaves the segments of all indexes, in their order
   */
  JoinedReader(List<IndexReader> indexes, LeafReader[] leaves) throws IOException {
    super(leaves, false);
    this.indexes = indexes;
    int held = 0;
    try {
      for (; held < indexes.size(); held++) {
        indexes.get(held).incRef();
      }
    } catch (RuntimeException e) { // one has been closed
      for (IndexReader each : indexes.subList(0, held)) {
        each.decRef();
      }
      super.doClose();
      throw e;
    }
  }

  @Override
  protected synchronized void doClose() throws IOException {
    try {
      super.doClose();
    } finally {
      for (IndexReader each : indexes) {
        each.decRef();
      }
    }
  }
}
