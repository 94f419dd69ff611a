package io.spladelucene.wire;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.apache.lucene.util.BytesRef;

/** A growing buffer of little-endian numbers, byte strings and texts for Python. */
public final class PackedWriter {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteBuffer number = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);

  /** Appends a 32-bit integer. */
  public void writeInt(int value) {
    number.clear().putInt(value);
    out.write(number.array(), 0, Integer.BYTES);
  }

  /** Appends a 64-bit integer. */
  public void writeLong(long value) {
    number.clear().putLong(value);
    out.write(number.array(), 0, Long.BYTES);
  }

  /** Appends an int length and the bytes. */
  public void writeBytes(BytesRef bytes) {
    writeInt(bytes.length);
    writeRaw(bytes);
  }

  /**
   * Appends an int length and the text in UTF-8; the length -1 alone if the text is {@code null}.
   */
  public void writeString(String text) {
    if (text == null) {
      writeInt(-1);
    } else {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      writeInt(bytes.length);
      writeRaw(bytes);
    }
  }

  /** Appends bytes without their length. */
  public void writeRaw(byte[] bytes) {
    out.write(bytes, 0, bytes.length);
  }

  /** Appends bytes without their length. */
  public void writeRaw(BytesRef bytes) {
    out.write(bytes.bytes, bytes.offset, bytes.length);
  }

  /** The number of bytes written so far. */
  public int size() {
    return out.size();
  }

  /** A copy of what was written so far. */
  public byte[] toByteArray() {
    return out.toByteArray();
  }
}
