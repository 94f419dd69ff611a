package io.spladelucene;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * A list of postings in one leaf with impacts of a byte, three bytes each: the documents of each window of 65,536, ascending,
 * and their impacts. {@link ImpactPlanes} makes such lists of larger impacts.
 */
final class DecodedPostings {
  static final int WINDOW = 16; // bits of a document's place in its window
  static final int LARGEST = 0xFF; // impact
  private static final int[] RANKS = {1, 10, 100, 1000, 10_000};

  final char[] docs; // place in the window
  final byte[] impacts; // unsigned
  final int[] windows; // where the postings of each window start, and one more
  private final int[] ranked; // the impacts of RANKS
  private final int maxDoc;
  private volatile BlockMaxima blocks;

  /** Takes the first {@code size} elements; impacts from 1 to {@link #LARGEST}. */
  DecodedPostings(int[] docs, int[] impacts, int size, int maxDoc) {
    this.docs = new char[size];
    this.impacts = new byte[size];
    this.maxDoc = maxDoc;
    windows = new int[(maxDoc - 1 >> WINDOW) + 2];
    int[] counts = new int[LARGEST + 1];
    for (int i = 0; i < size; i++) {
      this.docs[i] = (char) docs[i];
      this.impacts[i] = (byte) impacts[i];
      windows[(docs[i] >> WINDOW) + 1]++;
      counts[impacts[i]]++;
    }
    for (int window = 1; window < windows.length; window++) {
      windows[window] += windows[window - 1];
    }
    ranked = rank(counts);
  }

  private DecodedPostings(int size, int maxDoc) {
    docs = new char[size];
    impacts = new byte[size];
    windows = new int[(maxDoc - 1 >> WINDOW) + 2];
    ranked = new int[RANKS.length];
    this.maxDoc = maxDoc;
  }

  /** Reads what {@link #write} wrote. */
  static DecodedPostings read(ByteBuffer in, int maxDoc) {
    DecodedPostings list = new DecodedPostings(in.getInt(), maxDoc);
    for (int i = 0; i < RANKS.length; i++) {
      list.ranked[i] = in.getInt();
    }
    boolean isDense = in.get() != 0;
    for (int i = 0; i < list.windows.length; i++) {
      list.windows[i] = in.getInt();
    }
    in.slice().order(in.order()).asCharBuffer().get(list.docs);
    in.position(in.position() + 2 * list.docs.length).get(list.impacts);
    if (isDense) {
      byte[] maxima = new byte[BlockMaxima.groups(maxDoc) << BlockMaxima.GROUP_SHIFT];
      in.get(maxima);
      list.blocks = BlockMaxima.dense(list, maxDoc, maxima);
    }
    return list;
  }

  void write(ByteBuffer out) {
    boolean isDense = blocks().isDense();
    out.putInt(docs.length);
    for (int impact : ranked) {
      out.putInt(impact);
    }
    out.put((byte) (isDense ? 1 : 0));
    for (int start : windows) {
      out.putInt(start);
    }
    out.slice().order(out.order()).asCharBuffer().put(docs);
    out.position(out.position() + 2 * docs.length).put(impacts);
    if (isDense) {
      out.put(blocks().maxima);
    }
  }

  long writtenBytes() {
    return 4 + 4L * RANKS.length + 1 + 4L * windows.length + 3L * docs.length + (blocks().isDense() ? blocks().maxima.length : 0);
  }

  private static int[] rank(int[] counts) {
    int[] found = new int[RANKS.length];
    int reached = 0;
    int next = 0;
    for (int impact = LARGEST; impact > 0; impact--) {
      reached += counts[impact];
      while (next < RANKS.length && reached >= RANKS[next]) {
        found[next++] = impact;
      }
    }
    return found;
  }

  int size() {
    return docs.length;
  }

  /** An impact that at least {@code k} documents reach; 0 if none is known. */
  int atLeast(int k) {
    for (int i = 0; i < RANKS.length; i++) {
      if (RANKS[i] >= k) {
        return ranked[i];
      }
    }
    return 0;
  }

  /** The impact in a document, 0 if it is not in the list. */
  int impactOf(int doc) {
    int window = doc >> WINDOW;
    int at = Arrays.binarySearch(docs, windows[window], windows[window + 1], (char) doc);
    return at < 0 ? 0 : impacts[at] & 0xFF;
  }

  /** Found when they are first asked for. */
  BlockMaxima blocks() {
    BlockMaxima found = blocks;
    if (found == null) {
      found = BlockMaxima.of(this, maxDoc);
      blocks = found;
    }
    return found;
  }

  /** An estimate, blocks included. */
  long bytes() {
    return 3L * docs.length + 4L * windows.length + BlockMaxima.bytes(docs.length, maxDoc) + 200;
  }
}
