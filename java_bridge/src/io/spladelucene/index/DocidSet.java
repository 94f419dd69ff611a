package io.spladelucene.index;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * A set of docids, each with the position at which it was added. It keeps the 128 bits of a docid's
 * MD5 instead of the docid: among a billion docids, two share them with a probability below 10^-20.
 *
 * <p>An open-addressing table of 24 bytes a slot, of which at most two thirds are used.
 */
final class DocidSet {
  private long[] slots = new long[3 << 12]; // high half, low half, position + 1; 0: free
  private int size = 0;
  private final MessageDigest md5 = newDigest();

  private static MessageDigest newDigest() {
    try {
      return MessageDigest.getInstance("MD5");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has MD5", e);
    }
  }

  /**
   * Adds a docid.
   *
   * @param position at least 0
   * @return -1 if the docid is new; otherwise the position with which it was added first
   */
  long add(byte[] docid, long position) {
    byte[] digest = md5.digest(docid);
    return add(readLong(digest, 0), readLong(digest, 8), position);
  }

  private long add(long high, long low, long position) {
    if (size * 3L >= slots.length / 3 * 2L) {
      grow();
    }
    int count = slots.length / 3;
    int slot = (int) Long.remainderUnsigned(high, count);
    while (slots[3 * slot + 2] != 0) {
      if (slots[3 * slot] == high && slots[3 * slot + 1] == low) {
        return slots[3 * slot + 2] - 1;
      }
      slot = slot + 1 == count ? 0 : slot + 1;
    }
    slots[3 * slot] = high;
    slots[3 * slot + 1] = low;
    slots[3 * slot + 2] = position + 1;
    size++;
    return -1;
  }

  private void grow() {
    long[] old = slots;
    slots = new long[Math.multiplyExact(old.length, 2)];
    size = 0;
    for (int i = 0; i < old.length; i += 3) {
      if (old[i + 2] != 0) {
        add(old[i], old[i + 1], old[i + 2] - 1);
      }
    }
  }

  private static long readLong(byte[] bytes, int offset) {
    long value = 0;
    for (int i = 0; i < 8; i++) {
      value = value << 8 | (bytes[offset + i] & 0xFF);
    }
    return value;
  }
}
