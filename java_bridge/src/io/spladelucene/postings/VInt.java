package io.spladelucene.postings;

/**
 * Non-negative integers in one to five bytes: seven bits a byte, the lowest first, and the high bit
 * set in all bytes but the last.
 */
final class VInt {
  private VInt() {}

  /** The number of bytes that a value takes. */
  static int length(int value) {
    return value < 1 << 7 ? 1 : value < 1 << 14 ? 2 : value < 1 << 21 ? 3 : value < 1 << 28 ? 4 : 5;
  }

  /** Writes a value; returns the position after it. */
  static int write(byte[] bytes, int at, int value) {
    while (value > 0x7F) {
      bytes[at++] = (byte) (value | 0x80);
      value >>>= 7;
    }
    bytes[at++] = (byte) value;
    return at;
  }

  /** Reads a value. The next one starts {@link #length} bytes later. */
  static int read(byte[] bytes, int at) {
    byte b = bytes[at++];
    int value = b & 0x7F;
    for (int shift = 7; b < 0; shift += 7) {
      b = bytes[at++];
      value |= (b & 0x7F) << shift;
    }
    return value;
  }
}
