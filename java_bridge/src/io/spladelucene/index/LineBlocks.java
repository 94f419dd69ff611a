package io.spladelucene.index;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * Reads files, plain or gzipped, as blocks of whole lines in input order. Threads can then share
 * the work evenly, whatever the number of files. The first blocks are small, so that a small input
 * also gives work to all threads.
 */
final class LineBlocks implements Closeable {
  private static final int SMALLEST = 512 << 10;

  /**
   * Whole lines of one file.
   *
   * @param file the position of the file among all files
   * @param length the number of bytes that count
   */
  record Block(int file, byte[] bytes, int length) {}

  /** A file of the input is truncated, or it is not a gzip file although its name says so. */
  static final class UnreadableInput extends IOException {
    private static final long serialVersionUID = 1L;

    /** The position of the file among all files. */
    final int file;

    UnreadableInput(int file, IOException cause) {
      super(cause.getMessage(), cause);
      this.file = file;
    }
  }

  private final List<Path> files;
  private int file = -1;
  private InputStream compressed; // the file itself; counts what is read of it, for progress
  private InputStream in;
  private int blocks = 0;
  private byte[] rest = new byte[0];
  private IOException failure; // of the open file, behind the lines that were read of it
  private volatile long bytesRead = 0; // one thread writes it, others read it

  /** Opens each file when the one before it has been read. */
  LineBlocks(List<Path> files) {
    this.files = files;
  }

  /**
   * The next block, or {@code null} at the end of the last file.
   *
   * @throws UnreadableInput if a file is damaged; its whole lines before the damage came first
   */
  Block next() throws IOException {
    while (true) {
      if (failure != null) {
        throw new UnreadableInput(file, failure);
      }
      if (in == null && !open()) {
        return null;
      }
      byte[] bytes = Arrays.copyOf(rest, Math.max(size(), rest.length * 2));
      int length = fill(bytes, rest.length);
      if (failure == null && length < bytes.length) { // the end of the file
        rest = new byte[0];
        closeFile();
        if (length > 0) {
          blocks++;
          return new Block(file, bytes, length);
        }
        continue;
      }
      int cut = length;
      while (cut > 0 && bytes[cut - 1] != '\n') {
        cut--;
      }
      rest = Arrays.copyOfRange(bytes, cut, length);
      if (cut > 0) {
        blocks++;
        return new Block(file, bytes, cut);
      }
    }
  }

  /** The size of the next block: it doubles with every eighth block, up to 8 MiB. */
  private int size() {
    return SMALLEST << Math.min(blocks / 8, 4);
  }

  /** Reads up to the end of an array or of the file, or up to {@link #failure}; returns where. */
  private int fill(byte[] bytes, int length) {
    try {
      int read = 0;
      while (read >= 0 && length < bytes.length) {
        read = in.read(bytes, length, bytes.length - length);
        length += Math.max(0, read);
      }
    } catch (IOException e) {
      failure = e;
    }
    return length;
  }

  /** The number of bytes that were read from the disk. */
  long bytesRead() {
    return bytesRead;
  }

  private boolean open() throws IOException {
    if (++file == files.size()) {
      file--;
      return false;
    }
    Path path = files.get(file);
    compressed = new Counting(Files.newInputStream(path));
    in = path.toString().endsWith(".gz") ? new GzipStream(compressed) : compressed;
    return true;
  }

  private void closeFile() throws IOException {
    if (in != null) {
      in.close();
      in = null;
    }
  }

  @Override
  public void close() throws IOException {
    closeFile();
  }

  private final class Counting extends InputStream {
    private final InputStream file;

    Counting(InputStream file) {
      this.file = file;
    }

    @Override
    public int read() throws IOException {
      int b = file.read();
      bytesRead += b < 0 ? 0 : 1;
      return b;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      int read = file.read(bytes, offset, length);
      bytesRead += Math.max(0, read);
      return read;
    }

    @Override
    public int available() throws IOException {
      return file.available();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
