package io.spladelucene.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Function;
import org.apache.lucene.util.BytesRef;

/**
 * Reads the little-endian numbers, byte strings and texts of a batch that comes from Python.
 *
 * <p>Reading past the end of the batch throws a {@link java.nio.BufferUnderflowException}.
 */
public final class PackedReader {
  private final ByteBuffer in;

  /** Starts reading at the first byte. The bytes are shared, not copied. */
  public PackedReader(byte[] bytes) {
    in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Starts reading at the first byte of a part of an array, which is shared. */
  public PackedReader(BytesRef bytes) {
    in = ByteBuffer.wrap(bytes.bytes, bytes.offset, bytes.length).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * The records of a batch that consists of an int count and that many records.
   *
   * <p>Each record is read when it is asked for, so that only one of them is in memory.
   *
   * @param readRecord reads the next record
   * @return the records; they can be iterated more than once
   */
  static <T> Iterable<T> records(byte[] batch, Function<PackedReader, T> readRecord) {
    return () ->
        new Iterator<>() {
          private final PackedReader in = new PackedReader(batch);
          private int left = in.readInt();

          @Override
          public boolean hasNext() {
            return left > 0;
          }

          @Override
          public T next() {
            if (left <= 0) {
              throw new NoSuchElementException();
            }
            left--;
            return readRecord.apply(in);
          }
        };
  }

  /** Reads a 32-bit integer. */
  public int readInt() {
    return in.getInt();
  }

  /** Reads a 64-bit integer. */
  public long readLong() {
    return in.getLong();
  }

  /** Whether there are bytes left. */
  public boolean hasMore() {
    return in.hasRemaining();
  }

  /**
   * Reads an int length and that many bytes, which are shared; {@code null} if the length is -1.
   */
  public BytesRef readBytes() {
    int length = in.getInt();
    return length < 0 ? null : readBytes(length);
  }

  /** Reads {@code length} bytes, which are shared. */
  public BytesRef readBytes(int length) {
    BytesRef bytes = new BytesRef(in.array(), in.position(), length);
    in.position(in.position() + length);
    return bytes;
  }

  /** Reads an int length and that many bytes of UTF-8; {@code null} if the length is -1. */
  public String readString() {
    BytesRef bytes = readBytes();
    return bytes == null ? null : bytes.utf8ToString();
  }
}
