package io.spladelucene;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * Decoded postings of the terms used last, within a budget of bytes: read from an {@link Accelerator} where a segment has one,
 * else decoded from Lucene, which takes longer. A list that does not fit is read from Lucene each time, with the
 * same result.
 */
final class PostingsCache {
  private record Key(int leaf, BytesRef term) {}

  private final long budget;
  private final Accelerator[] accelerators; // per leaf, or null
  private final Map<Key, ImpactPlanes> lists = new LinkedHashMap<>(1024, 0.75f, true);
  private long bytes = 0;

  PostingsCache(long budget, Accelerator[] accelerators) {
    this.budget = budget;
    this.accelerators = accelerators;
  }

  synchronized ImpactPlanes get(int leaf, BytesRef term) {
    return lists.get(new Key(leaf, term));
  }

  /** Reads the list that the enumeration stands on and keeps it; {@code null} if it is too long. */
  ImpactPlanes load(int leaf, BytesRef term, TermsEnum at, int maxDoc, int docFreq) throws IOException {
    if (6L * at.docFreq() > budget / 4) {
      return null;
    }
    ImpactPlanes planes = accelerators[leaf] == null ? null : accelerators[leaf].readIfSound(term, docFreq);
    if (planes == null) {
      planes = new PostingsReader().read(at, maxDoc, docFreq);
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
