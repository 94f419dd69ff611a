package io.spladelucene.index;

import java.io.IOException;
import java.io.InputStream;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Decompresses a gzip file (RFC 1952) as Python's gzip module does: all members, with zero bytes
 * behind each of them. Anything else behind a member is an error. {@link
 * java.util.zip.GZIPInputStream} ignores it, and with it documents that were damaged or appended
 * without compression.
 */
final class GzipStream extends InputStream {
  private static final int BUFFER = 1 << 16;
  private static final int HEADER = 10;
  private static final int FHCRC = 2;
  private static final int FEXTRA = 4;
  private static final int FNAME = 8;
  private static final int FCOMMENT = 16;

  private final InputStream in;
  private final byte[] buffer = new byte[BUFFER];
  private int position = 0;
  private int limit = 0;
  private final Inflater inflater = new Inflater(true);
  private final CRC32 checksum = new CRC32();
  private boolean inMember = false;
  private boolean isFirst = true;

  GzipStream(InputStream in) {
    this.in = in;
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
  }

  @Override
  public int read(byte[] bytes, int offset, int length) throws IOException {
    while (length > 0) {
      if (!inMember && !startMember()) {
        return -1;
      }
      int count = inflate(bytes, offset, length);
      checksum.update(bytes, offset, count);
      if (inflater.finished()) {
        position = limit - inflater.getRemaining();
        endMember();
      }
      if (count > 0) {
        return count;
      }
    }
    return 0;
  }

  private int inflate(byte[] bytes, int offset, int length) throws IOException {
    try {
      int count = inflater.inflate(bytes, offset, length);
      if (count == 0 && inflater.needsInput() && !inflater.finished()) {
        fill();
        inflater.setInput(buffer, 0, limit);
      } else if (count == 0 && inflater.needsDictionary()) {
        throw damaged();
      }
      return count;
    } catch (DataFormatException e) {
      throw damaged();
    }
  }

  /** Reads the header of the next member; false at the end of the file. */
  private boolean startMember() throws IOException {
    int first = isFirst ? readByte() : firstBehindZeros();
    if (first < 0) {
      return false;
    }
    isFirst = false;
    byte[] header = new byte[HEADER];
    for (int i = 1; i < HEADER; i++) {
      header[i] = (byte) readByte();
    }
    if (first != 0x1F || header[1] != (byte) 0x8B || header[2] != 8) {
      throw damaged();
    }
    int flags = header[3];
    if ((flags & FEXTRA) != 0) {
      skip(readByte() | readByte() << 8);
    }
    if ((flags & FNAME) != 0) {
      skipString();
    }
    if ((flags & FCOMMENT) != 0) {
      skipString();
    }
    if ((flags & FHCRC) != 0) {
      skip(2);
    }
    inflater.reset();
    inflater.setInput(buffer, position, limit - position);
    checksum.reset();
    inMember = true;
    return true;
  }

  /** Checks the length and the checksum behind a member. */
  private void endMember() throws IOException {
    inMember = false;
    if (readInt() != (int) checksum.getValue() || readInt() != (int) inflater.getBytesWritten()) {
      throw damaged();
    }
  }

  private int firstBehindZeros() throws IOException {
    do {
      if (position == limit && !hasMore()) {
        return -1;
      }
    } while (buffer[position++] == 0);
    return buffer[position - 1] & 0xFF;
  }

  private void skip(int count) throws IOException {
    for (int i = 0; i < count; i++) {
      readByte();
    }
  }

  private void skipString() throws IOException {
    while (readByte() != 0) {}
  }

  private int readInt() throws IOException {
    return readByte() | readByte() << 8 | readByte() << 16 | readByte() << 24;
  }

  private int readByte() throws IOException {
    if (position == limit) {
      fill();
    }
    return buffer[position++] & 0xFF;
  }

  private void fill() throws IOException {
    if (!hasMore()) {
      throw damaged();
    }
  }

  /** Reads into the buffer; false at the end of the file. */
  private boolean hasMore() throws IOException {
    position = 0;
    limit = Math.max(0, in.read(buffer, 0, BUFFER));
    return limit > 0;
  }

  private static IOException damaged() {
    return new IOException("it is not a whole gzip file");
  }

  @Override
  public void close() throws IOException {
    inflater.end();
    in.close();
  }
}
