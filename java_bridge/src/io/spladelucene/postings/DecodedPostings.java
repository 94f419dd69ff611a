package io.spladelucene.postings;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * A postings list of one segment whose impacts are from 1 to 255. A posting takes three bytes: the
 * document within its window of 65,536 documents, and the impact. {@link ImpactPlanes} splits lists
 * with larger impacts into lists of this kind.
 *
 * <p>The arrays are public because the inner loops of the search read them. Nobody writes to them.
 */
public final class DecodedPostings {
  /** A document's window is {@code doc >> WINDOW}. */
  public static final int WINDOW = 16;

  /** The largest impact that a list holds. */
  public static final int LARGEST = 0xFF;

  private static final int[] RANKS = {1, 10, 100, 1000, 10_000};

  /** By posting: the document within its window. Ascending in each window. */
  public final char[] docs;

  /** By posting: the impact, unsigned. */
  public final byte[] impacts;

  /** By window: its first posting. One more element at the end: the number of postings. */
  public final int[] windows;

  private final int[] ranked; // by RANKS: the impact at that rank, 0 if the list is shorter
  private final int maxDoc;
  private volatile BlockMaxima blocks;

  /**
   * Makes a list of the first {@code size} elements.
   *
   * @param docs ascending
   * @param impacts from 1 to {@link #LARGEST}
   * @param maxDoc of the segment
   */
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
  public static DecodedPostings read(ByteBuffer in, int maxDoc) {
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

  /**
   * Writes the list: int size, int[5] ranked impacts, byte dense, int[windows + 1] windows,
   * char[size] docs, byte[size] impacts, and, if the block maxima are dense, those.
   */
  public void write(ByteBuffer out) {
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

  /** The number of bytes that {@link #write} writes. */
  public long writtenBytes() {
    long maximaBytes = blocks().isDense() ? blocks().maxima.length : 0;
    return 4 + 4L * RANKS.length + 1 + 4L * windows.length + 3L * docs.length + maximaBytes;
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

  /** The number of postings. */
  public int size() {
    return docs.length;
  }

  /** An impact that at least {@code k} documents of the list reach; 0 if none is known. */
  public int atLeast(int k) {
    return atLeast(ranked, k);
  }

  /** The same for what {@link #rankedOf} returns. */
  public static int atLeast(int[] ranked, int k) {
    for (int i = 0; i < RANKS.length; i++) {
      if (RANKS[i] >= k) {
        return ranked[i];
      }
    }
    return 0;
  }

  /**
   * The impacts at some ranks among some documents.
   *
   * @param accepted a bit for each document
   */
  public int[] rankedOf(long[] accepted) {
    int[] counts = new int[LARGEST + 1];
    for (int window = 0; window < windows.length - 1; window++) {
      int base = window << WINDOW;
      for (int i = windows[window]; i < windows[window + 1]; i++) {
        int doc = base + docs[i];
        counts[impacts[i] & 0xFF] += (int) (accepted[doc >> 6] >>> doc & 1);
      }
    }
    return rank(counts);
  }

  /** The impact of a document; 0 if it is not in the list. */
  public int impactOf(int doc) {
    int window = doc >> WINDOW;
    int at = Arrays.binarySearch(docs, windows[window], windows[window + 1], (char) doc);
    return at < 0 ? 0 : impacts[at] & 0xFF;
  }

  /** The block maxima of the list, which are computed at the first call. */
  public BlockMaxima blocks() {
    BlockMaxima found = blocks;
    if (found == null) {
      found = BlockMaxima.of(this, maxDoc);
      blocks = found;
    }
    return found;
  }

  /** An estimate of the list's memory, block maxima included. */
  public long bytes() {
    return 3L * docs.length + 4L * windows.length + BlockMaxima.bytes(docs.length, maxDoc) + 200;
  }
}
