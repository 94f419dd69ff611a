package io.spladelucene;

import java.io.IOException;
import java.util.Arrays;
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
  /** A term's postings in one leaf: documents, ascending, and their impacts. */
  record Decoded(int[] docs, int[] impacts) {
    long bytes() {
      return 8L * docs.length + 100;
    }
  }

  private record Key(int leaf, BytesRef term) {}

  private final long budget;
  private final Map<Key, Decoded> lists = new LinkedHashMap<>(1024, 0.75f, true);
  private long bytes = 0;

  PostingsCache(long budget) {
    this.budget = budget;
  }

  synchronized Decoded get(int leaf, BytesRef term) {
    return lists.get(new Key(leaf, term));
  }

  /** Decodes the list that the enumeration stands on and keeps it; {@code null} if it is too long to be kept. */
  Decoded load(int leaf, BytesRef term, TermsEnum at) throws IOException {
    int size = at.docFreq();
    if (8L * size + 100 > budget / 4) {
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
    Decoded decoded = new Decoded(Arrays.copyOf(docs, count), Arrays.copyOf(impacts, count));
    keep(new Key(leaf, BytesRef.deepCopyOf(term)), decoded);
    return decoded;
  }

  private synchronized void keep(Key key, Decoded decoded) {
    if (lists.put(key, decoded) == null) {
      bytes += decoded.bytes();
    }
    for (var eldest = lists.entrySet().iterator(); bytes > budget && eldest.hasNext(); ) {
      bytes -= eldest.next().getValue().bytes();
      eldest.remove();
    }
  }
}
