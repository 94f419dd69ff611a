package io.spladelucene;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * Decoded postings of the terms used last, within a budget of bytes. Adding up an array costs a fourth of decoding
 * Lucene's blocks; a list that does not fit is read from the index each time, with the same result.
 */
final class PostingsCache {
  private record Key(int leaf, BytesRef term) {}

  private final long budget;
  private final Map<Key, ImpactPlanes> lists = new LinkedHashMap<>(1024, 0.75f, true);
  private long bytes = 0;

  PostingsCache(long budget) {
    this.budget = budget;
  }

  synchronized ImpactPlanes get(int leaf, BytesRef term) {
    return lists.get(new Key(leaf, term));
  }

  /** Decodes the list that the enumeration stands on and keeps it; {@code null} if it is too long. */
  ImpactPlanes load(int leaf, BytesRef term, TermsEnum at, int maxDoc) throws IOException {
    int size = at.docFreq();
    if (6L * size > budget / 4) {
      return null;
    }
    int[] docs = new int[size];
    int[] impacts = new int[size];
    PostingsEnum postings = at.postings(null, PostingsEnum.FREQS);
    int count = 0;
    for (int doc = postings.nextDoc(); doc != PostingsEnum.NO_MORE_DOCS; doc = postings.nextDoc()) {
      docs[count] = doc;
      impacts[count++] = postings.freq();
    }
    ImpactPlanes decoded = ImpactPlanes.of(docs, impacts, count, maxDoc);
    keep(new Key(leaf, BytesRef.deepCopyOf(term)), decoded);
    return decoded;
  }

  private synchronized void keep(Key key, ImpactPlanes decoded) {
    if (lists.put(key, decoded) == null) {
      bytes += decoded.bytes();
    }
    for (var eldest = lists.entrySet().iterator(); bytes > budget && eldest.hasNext(); ) {
      bytes -= eldest.next().getValue().bytes();
      eldest.remove();
    }
  }
}
