package io.spladelucene.search;

import io.spladelucene.index.Accelerator;
import io.spladelucene.postings.ImpactPlanes;
import io.spladelucene.postings.PostingsReader;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * A cache of decoded postings, which keeps those of the terms that were used last within a budget
 * of bytes. They are read from the {@link Accelerator} of a segment if there is one, and otherwise
 * decoded from Lucene's postings, which takes longer. For any number of threads.
 */
final class PostingsCache {
  private record Key(int leaf, BytesRef term) {}

  private final long budget;
  private final Accelerator[] accelerators; // by segment; null: there is none
  private final Map<Key, ImpactPlanes> lists = new LinkedHashMap<>(1024, 0.75f, true);
  private long bytes = 0;

  /** An empty cache. */
  PostingsCache(long budget, Accelerator[] accelerators) {
    this.budget = budget;
    this.accelerators = accelerators;
  }

  /** The postings of a term in a segment; {@code null} if they are not in the cache. */
  synchronized ImpactPlanes get(int leaf, BytesRef term) {
    return lists.get(new Key(leaf, term));
  }

  /**
   * Reads the postings of a term in a segment and keeps them.
   *
   * @param at positioned on the term
   * @return {@code null} if they would take more than a quarter of the budget
   */
  ImpactPlanes load(int leaf, BytesRef term, TermsEnum at, int maxDoc) throws IOException {
    if (6L * at.docFreq() > budget / 4) {
      return null;
    }
    ImpactPlanes planes = null;
    if (accelerators[leaf] != null) {
      planes = accelerators[leaf].readIfSound(term);
    }
    if (planes == null) {
      planes = new PostingsReader().read(at, maxDoc);
    }
    keep(new Key(leaf, BytesRef.deepCopyOf(term)), planes);
    return planes;
  }

  private synchronized void keep(Key key, ImpactPlanes planes) {
    if (lists.put(key, planes) == null) {
      bytes += planes.bytes();
    }
    for (var eldest = lists.entrySet().iterator(); bytes > budget && eldest.hasNext(); ) {
      bytes -= eldest.next().getValue().bytes();
      eldest.remove();
    }
  }
}
