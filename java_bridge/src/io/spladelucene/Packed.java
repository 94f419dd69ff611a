package io.spladelucene;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.apache.lucene.util.BytesRef;

/** Reading and writing the little-endian batches that cross between Python and Java. */
final class Packed {
  private final ByteBuffer in;

  Packed(byte[] bytes) {
    in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  int readInt() {
    return in.getInt();
  }

  long readLong() {
    return in.getLong();
  }

  /** Bytes written as an int length and their content; {@code null} where the length is -1. The bytes are shared. */
  BytesRef readBytes() {
    int length = in.getInt();
    return length < 0 ? null : readBytes(length);
  }

  /** Some bytes, shared. */
  BytesRef readBytes(int length) {
    BytesRef bytes = new BytesRef(in.array(), in.position(), length);
    in.position(in.position() + length);
    return bytes;
  }

  String readString() {
    BytesRef bytes = readBytes();
    return bytes == null ? null : bytes.utf8ToString();
  }

  /** A growing little-endian buffer. */
  static final class Writer {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteBuffer scratch = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);

    void writeInt(int value) {
      scratch.clear().putInt(value);
      out.write(scratch.array(), 0, 4);
    }

    void writeLong(long value) {
      scratch.clear().putLong(value);
      out.write(scratch.array(), 0, 8);
    }

    void writeBytes(byte[] bytes, int offset, int length) {
      writeInt(length);
      out.write(bytes, offset, length);
    }

    void writeString(String text) {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      writeBytes(bytes, 0, bytes.length);
    }

    void writeRaw(byte[] bytes) {
      out.write(bytes, 0, bytes.length);
    }

    void writeRaw(byte[] bytes, int offset, int length) {
      out.write(bytes, offset, length);
    }

    int size() {
      return out.size();
    }

    byte[] toByteArray() {
      return out.toByteArray();
    }
  }
}
