package io.spladelucene.index;

import io.spladelucene.postings.DecodedPostings;
import io.spladelucene.postings.ImpactPlanes;
import io.spladelucene.postings.PostingsReader;
import io.spladelucene.wire.PackedWriter;
import java.io.Closeable;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.apache.lucene.index.CodecReader;
import org.apache.lucene.index.FilterCodecReader;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.SegmentReader;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * A file with the decoded postings of one segment, as {@link ImpactPlanes} with their dense block
 * maxima. A search that maps this file need not decode Lucene's postings.
 *
 * <p>The file belongs to the segment whose unique id it has. It includes deleted documents. Its
 * name is the segment's id and {@link #SUFFIX}. All numbers are little-endian:
 *
 * <pre>
 * header     long MAGIC, int VERSION, byte[16] segment id, int maxDoc, int terms,
 *            long start of the directory, int CRC-32C of the directory and the header before it
 * lists      per term: int CRC-32C of the rest, int lists;
 *            per list: int factor, and what DecodedPostings.write writes
 * directory  long[terms + 1] start of the lists of each term, int[terms + 1] start of the term,
 *            the terms in UTF-8, ascending
 * </pre>
 *
 * <p>The lists of a term may be empty: then they are read from Lucene.
 */
public final class Accelerator implements Closeable {
  /** The end of the file's name. */
  static final String SUFFIX = ".postings";

  private static final long MAGIC = 0x4c45434341504c53L; // "SLPACCEL"
  private static final int VERSION = 1;
  private static final int HEADER = 8 + 4 + 16 + 4 + 4 + 8 + 4;

  // A map starts every so many bytes and is twice as long, so that the lists of a term, which are
  // not longer than that, are in one map.
  private static final long CHUNK = 1L << 30;

  private static final int ID_BYTES = 16;

  /** The file cannot be used. The message is the end of a sentence that starts with the path. */
  static final class Unusable extends IOException {
    private static final long serialVersionUID = 1L;

    Unusable(String reason) {
      super(reason);
    }
  }

  private final Path path;
  private final int maxDoc;
  private volatile boolean isDamaged = false;
  private final FileChannel file;
  private final ByteBuffer[] chunks;
  private final long[] starts; // of the lists of each term; one more element at the end
  private final int[] termStarts;
  private final byte[] terms;

  private Accelerator(Path path, byte[] segment, int maxDoc) throws IOException {
    this.path = path;
    this.maxDoc = maxDoc;
    file = FileChannel.open(path, StandardOpenOption.READ);
    try {
      long size = file.size();
      ByteBuffer header = map(0, Math.min(size, HEADER));
      if (size < HEADER || header.getLong() != MAGIC) {
        throw new Unusable("is not an accelerator");
      }
      int version = header.getInt();
      if (version != VERSION) {
        throw new Unusable("is of version " + version + ", this program reads " + VERSION);
      }
      byte[] id = new byte[ID_BYTES];
      header.get(id);
      if (!Arrays.equals(id, segment) || header.getInt() != maxDoc) {
        throw new Unusable("belongs to another segment");
      }
      int count = header.getInt();
      long directory = header.getLong();
      int checksum = header.getInt();
      long length = size - directory;
      if (directory < HEADER || count < 0 || length < 12L * (count + 1) || length > CHUNK) {
        throw new Unusable("is damaged");
      }
      ByteBuffer in = map(directory, length);
      if (checksum != checksum(in, header)) {
        throw new Unusable("is damaged");
      }
      starts = new long[count + 1];
      termStarts = new int[count + 1];
      in.asLongBuffer().get(starts);
      in.position(8 * starts.length)
          .slice()
          .order(ByteOrder.LITTLE_ENDIAN)
          .asIntBuffer()
          .get(termStarts);
      terms = new byte[termStarts[count]];
      in.position(12 * starts.length).get(terms);
      chunks = new ByteBuffer[(int) ((directory - 1) / CHUNK) + 1];
      for (int i = 0; i < chunks.length; i++) {
        chunks[i] = map(i * CHUNK, Math.min(2 * CHUNK - 1, directory - i * CHUNK));
      }
    } catch (RuntimeException | IOException e) {
      file.close();
      throw e;
    }
  }

  private ByteBuffer map(long from, long length) throws IOException {
    return file.map(FileChannel.MapMode.READ_ONLY, from, length).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static int checksum(ByteBuffer directory, ByteBuffer header) {
    CRC32C sum = new CRC32C();
    sum.update(directory.duplicate().rewind());
    sum.update(header.duplicate().position(0).limit(HEADER - 4));
    return (int) sum.getValue();
  }

  /** The name of the file of a segment. */
  public static String nameFor(LeafReader leaf) {
    return HexFormat.of().formatHex(segmentId(leaf)) + SUFFIX;
  }

  private static byte[] segmentId(LeafReader leaf) {
    LeafReader segment = FilterLeafReader.unwrap(leaf);
    if (segment instanceof CodecReader reader) {
      segment = FilterCodecReader.unwrap(reader); // one that hides documents
    }
    return ((SegmentReader) segment).getSegmentInfo().info.getId();
  }

  /**
   * Opens the file of a segment.
   *
   * @return {@code null} if the folder has no such file
   * @throws IOException if the file cannot be used; the message says why
   */
  public static Accelerator open(Path folder, LeafReader leaf) throws IOException {
    Path path = folder.resolve(nameFor(leaf));
    return Files.exists(path) ? new Accelerator(path, segmentId(leaf), leaf.maxDoc()) : null;
  }

  /** Whether a folder has a file of a segment that can be opened. */
  static boolean isUsable(Path folder, LeafReader leaf) throws IOException {
    try (Accelerator found = open(folder, leaf)) {
      return found != null;
    } catch (Unusable e) {
      return false;
    }
  }

  /** Reads a file to its end; says what is wrong with it, or {@code null}. */
  static String verify(Path folder, LeafReader leaf) throws IOException {
    try (Accelerator accelerator = open(folder, leaf)) {
      for (int at = 0; at < accelerator.starts.length - 1; at++) {
        if (accelerator.starts[at] != accelerator.starts[at + 1]) {
          accelerator.read(at);
        }
      }
      return null;
    } catch (Unusable e) {
      return e.getMessage();
    } catch (RuntimeException e) { // a length or a position out of range
      return "is damaged";
    }
  }

  /** The position of a term in the directory; -1 if it is not there. */
  private int find(BytesRef term) {
    int low = 0;
    int high = starts.length - 2;
    while (low <= high) {
      int middle = low + high >>> 1;
      int order =
          Arrays.compareUnsigned(
              terms,
              termStarts[middle],
              termStarts[middle + 1],
              term.bytes,
              term.offset,
              term.offset + term.length);
      if (order == 0) {
        return middle;
      } else if (order < 0) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return -1;
  }

  /** The path of the file. */
  public Path path() {
    return path;
  }

  /** Whether a list that was read had a wrong checksum. From then on the file is not used. */
  public boolean isDamaged() {
    return isDamaged;
  }

  /**
   * Reads the lists of a term.
   *
   * @return {@code null} if the file does not have them, or is damaged
   */
  public ImpactPlanes readIfSound(BytesRef term) {
    int at = find(term);
    if (isDamaged || at < 0 || starts[at] == starts[at + 1]) {
      return null;
    }
    try {
      return read(at);
    } catch (Unusable | IndexOutOfBoundsException | BufferUnderflowException e) {
      isDamaged = true;
      return null;
    }
  }

  private ImpactPlanes read(int at) throws Unusable {
    ByteBuffer chunk = chunks[(int) (starts[at] / CHUNK)];
    ByteBuffer in =
        chunk
            .slice((int) (starts[at] % CHUNK), (int) (starts[at + 1] - starts[at]))
            .order(ByteOrder.LITTLE_ENDIAN);
    CRC32C sum = new CRC32C();
    sum.update(in.duplicate().position(4));
    if (in.getInt() != (int) sum.getValue()) {
      throw new Unusable("is damaged");
    }
    DecodedPostings[] lists = new DecodedPostings[in.getInt()];
    int[] factors = new int[lists.length];
    for (int i = 0; i < lists.length; i++) {
      factors[i] = in.getInt();
      lists[i] = DecodedPostings.read(in, maxDoc);
    }
    return new ImpactPlanes(lists, factors);
  }

  @Override
  public void close() throws IOException {
    file.close();
  }

  /**
   * The smallest document frequency such that the files with the lists of all terms that reach it
   * take at most {@code bytes}; 1 if there is room for all lists.
   */
  static int shortestWithin(IndexReader index, long bytes) throws IOException {
    if (bytes == Long.MAX_VALUE) {
      return 1;
    }
    Map<Integer, Long> bytesByLength = new TreeMap<>(Comparator.reverseOrder());
    PostingsReader reader = new PostingsReader();
    long left = bytes;
    for (LeafReaderContext leaf : index.leaves()) {
      left -= HEADER + 12;
      Terms terms = leaf.reader().terms(Fields.CONTENTS);
      if (terms != null) {
        TermsEnum each = terms.iterator();
        for (BytesRef term = each.next(); term != null; term = each.next()) {
          ImpactPlanes planes = reader.read(each, leaf.reader().maxDoc());
          bytesByLength.merge(each.docFreq(), writtenBytes(planes), Long::sum);
          left -= 12 + term.length; // in the directory
        }
      }
    }
    int shortest = Integer.MAX_VALUE;
    for (Map.Entry<Integer, Long> each : bytesByLength.entrySet()) {
      left -= each.getValue();
      if (left < 0) {
        return shortest;
      }
      shortest = each.getKey();
    }
    return 1;
  }

  private static long writtenBytes(ImpactPlanes planes) {
    long bytes = 8;
    for (DecodedPostings list : planes.lists()) {
      bytes += 4 + list.writtenBytes();
    }
    return bytes;
  }

  /**
   * Writes the file of a segment. It gets its name when it is complete.
   *
   * @param shortest the lists of terms with a smaller document frequency are left out
   */
  static void write(Path folder, LeafReader leaf, int shortest) throws IOException {
    Path path = folder.resolve(nameFor(leaf));
    Path partial = path.resolveSibling(path.getFileName() + ".partial");
    try {
      try (FileChannel out =
          FileChannel.open(
              partial,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        new Writer(out, leaf, shortest).write();
        out.force(true);
      }
      Files.move(
          partial, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  /** Writes one file. */
  private static final class Writer {
    private final FileChannel out;
    private final LeafReader leaf;
    private final int shortest;
    private final PostingsReader reader = new PostingsReader();
    private final PackedWriter termBytes = new PackedWriter();
    private long[] starts = new long[1 << 12];
    private int[] termStarts = new int[1 << 12];
    private int count = 0;
    private ByteBuffer buffer = ByteBuffer.allocate(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
    private long flushed = HEADER; // the position of the file; asking for it is a system call

    Writer(FileChannel out, LeafReader leaf, int shortest) {
      this.out = out;
      this.leaf = leaf;
      this.shortest = shortest;
    }

    void write() throws IOException {
      out.position(flushed);
      Terms terms = leaf.terms(Fields.CONTENTS);
      if (terms != null) {
        TermsEnum each = terms.iterator();
        for (BytesRef term = each.next(); term != null; term = each.next()) {
          begin(term);
          if (each.docFreq() >= shortest) {
            add(reader.read(each, leaf.maxDoc()));
          }
        }
      }
      begin(new BytesRef());
      flush();
      long directory = flushed;
      ByteBuffer tail =
          ByteBuffer.allocate(12 * count + termBytes.size()).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < count; i++) {
        tail.putLong(starts[i]);
      }
      for (int i = 0; i < count; i++) {
        tail.putInt(termStarts[i]);
      }
      tail.put(termBytes.toByteArray()).flip();
      ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
      header
          .putLong(MAGIC)
          .putInt(VERSION)
          .put(segmentId(leaf))
          .putInt(leaf.maxDoc())
          .putInt(count - 1)
          .putLong(directory);
      header.putInt(checksum(tail, header)).flip();
      put(tail);
      out.position(0);
      put(header);
    }

    /** Adds a term to the directory; its lists start here. */
    private void begin(BytesRef term) throws IOException {
      if (count == starts.length) {
        starts = Arrays.copyOf(starts, 2 * count);
        termStarts = Arrays.copyOf(termStarts, 2 * count);
      }
      starts[count] = flushed + buffer.position();
      termStarts[count++] = termBytes.size();
      termBytes.writeRaw(term);
    }

    private void add(ImpactPlanes planes) throws IOException {
      long length = writtenBytes(planes);
      if (length > CHUNK) {
        return; // it is read from Lucene
      }
      if (buffer.remaining() < length) {
        flush();
      }
      if (buffer.capacity() < length) {
        buffer = ByteBuffer.allocate((int) length).order(ByteOrder.LITTLE_ENDIAN);
      }
      int start = buffer.position();
      buffer.putInt(0).putInt(planes.lists().length);
      for (int i = 0; i < planes.lists().length; i++) {
        buffer.putInt(planes.factors()[i]);
        planes.lists()[i].write(buffer);
      }
      CRC32C sum = new CRC32C();
      sum.update(buffer.array(), start + 4, buffer.position() - start - 4);
      buffer.putInt(start, (int) sum.getValue());
    }

    private void flush() throws IOException {
      flushed += buffer.position();
      put(buffer.flip());
      buffer.clear();
    }

    private void put(ByteBuffer bytes) throws IOException {
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
    }
  }
}
