package io.spladelucene.index;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPInputStream;

/**
 * Reads files, plain or gzipped, as blocks of whole lines in input order. Threads can then share
 * the work evenly, whatever the number of files.
 */
final class LineBlocks implements Closeable {
  private static final int BLOCK = 8 << 20;

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

    UnreadableInput(Path file, IOException cause) {
      super(file + ": the file cannot be read (" + cause.getMessage() + ")", cause);
    }
  }

  private final List<Path> files;
  private int file = -1;
  private InputStream compressed; // the file itself; counts what is read of it, for progress
  private InputStream in;
  private byte[] rest = new byte[0];
  private volatile long bytesRead = 0; // one thread writes it, others read it

  /** Opens each file when the one before it has been read. */
  LineBlocks(List<Path> files) {
    this.files = files;
  }

  /** The next block, or {@code null} at the end of the last file. */
  Block next() throws IOException {
    while (true) {
      if (in == null && !open()) {
        return null;
      }
      byte[] bytes = Arrays.copyOf(rest, Math.max(BLOCK, rest.length * 2));
      int length = rest.length;
      int read;
      try {
        read = in.readNBytes(bytes, length, bytes.length - length);
      } catch (IOException e) {
        throw new UnreadableInput(files.get(file), e);
      }
      length += read;
      if (length < bytes.length) { // the end of the file
        rest = new byte[0];
        closeFile();
        if (length > 0) {
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
        return new Block(file, bytes, cut);
      }
    }
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
    try {
      in = path.toString().endsWith(".gz") ? new GZIPInputStream(compressed, 1 << 16) : compressed;
    } catch (IOException e) {
      compressed.close();
      throw new UnreadableInput(path, e);
    }
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
