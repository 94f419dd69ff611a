package io.spladelucene.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * The hits of queries on an impact index. Per query: int hits; long[hits] scores; int[hits]
 * lucene_docids; int length, and that many bytes: the docids with a NUL between each two; the
 * counters of the search, a long each.
 */
public final class PackedHits {
  private PackedHits() {}

  /**
   * Packs the hits of one query.
   *
   * @param counters what the search did; Python knows their number and order
   */
  public static byte[] pack(RankedHits hits, Docids docids, long[] counters) {
    int count = hits.size();
    long docidBytes = Math.max(0, count - 1);
    for (int i = 0; i < count; i++) {
      docidBytes += docids.length(hits.luceneDocid(i));
    }
    long size = 8 + 12L * count + docidBytes + 8L * counters.length;
    ByteBuffer out = ByteBuffer.allocate(Math.toIntExact(size)).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(count);
    for (int i = 0; i < count; i++) {
      out.putLong(hits.score(i));
    }
    for (int i = 0; i < count; i++) {
      out.putInt(hits.luceneDocid(i));
    }
    out.putInt((int) docidBytes);
    int at = out.position();
    for (int i = 0; i < count; i++) {
      if (i > 0) {
        out.array()[at++] = 0;
      }
      at = docids.copy(hits.luceneDocid(i), out.array(), at);
    }
    out.position(at);
    for (long counter : counters) {
      out.putLong(counter);
    }
    return out.array();
  }

  /** Joins the packed hits of the queries of a batch, in their order. */
  public static byte[] join(List<byte[]> packed) {
    if (packed.size() == 1) {
      return packed.get(0);
    }
    int length = 0;
    for (byte[] each : packed) {
      length = Math.addExact(length, each.length);
    }
    byte[] all = new byte[length];
    int at = 0;
    for (byte[] each : packed) {
      System.arraycopy(each, 0, all, at, each.length);
      at += each.length;
    }
    return all;
  }
}
