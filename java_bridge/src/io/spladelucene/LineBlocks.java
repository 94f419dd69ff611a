package io.spladelucene;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPInputStream;

/** Cuts files, plain or gzipped, into blocks of whole lines in input order, so that threads need not care for files. */
final class LineBlocks implements Closeable {
  private static final int BLOCK = 8 << 20;

  /** Whole lines of one file. */
  record Block(int file, byte[] bytes, int length) {}

  /** A file of the input that breaks off or is no gzip file. */
  static final class UnreadableInput extends IOException {
    private static final long serialVersionUID = 1L;

    UnreadableInput(Path file, IOException cause) {
      super(file + ": the file cannot be read (" + cause.getMessage() + ")", cause);
    }
  }

  private final List<Path> files;
  private int file = -1;
  private InputStream compressed; // counts what is read of the file itself, for progress
  private InputStream in;
  private byte[] rest = new byte[0];
  private long bytesRead = 0;

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

  /** Bytes of the files as they lie on disk that have been read. */
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
