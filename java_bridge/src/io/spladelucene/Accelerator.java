package io.spladelucene;

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
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.SegmentReader;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * A file beside one segment of an index: its postings as {@link ImpactPlanes} holds them, with the block maxima of the common
 * terms, so that a list is read instead of decoded. It names the segment it was made of by its id, which no other segment has;
 * deleted documents are none of its business. All numbers are little-endian:
 *
 * <pre>
 * header     long MAGIC, int VERSION, byte[16] segment, int maxDoc, int terms, long start of the directory,
 *            int CRC-32C of directory and header before it
 * lists      per term: int CRC-32C of the rest, int lists; per list: int factor, int size, int[5] ranked, byte dense,
 *            int[windows + 1] windows, char[size] docs, byte[size] impacts, byte[8 groups] maxima if dense
 * directory  long[terms + 1] where the lists of each term start, int[terms + 1] where the term starts, the terms in UTF-8,
 *            ascending
 * </pre>
 */
final class Accelerator implements Closeable {
  static final String SUFFIX = ".postings";
  private static final long MAGIC = 0x4c45434341504c53L; // "SLPACCEL"
  private static final int VERSION = 1;
  private static final int HEADER = 8 + 4 + 16 + 4 + 4 + 8 + 4;
  private static final long CHUNK = 1L << 30; // a map starts every so many bytes and is as long again, so holds any list
  private static final int ID_BYTES = 16;

  /** It cannot be used; the message says why. */
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
  private final long[] starts; // of the lists of each term, and one more
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
        throw new Unusable("is no accelerator");
      }
      int version = header.getInt();
      if (version != VERSION) {
        throw new Unusable("is of version " + version + ", this program reads " + VERSION);
      }
      byte[] its = new byte[ID_BYTES];
      header.get(its);
      if (!Arrays.equals(its, segment) || header.getInt() != maxDoc) {
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
      in.position(8 * starts.length).slice().order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(termStarts);
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

  /** The name of the file for a segment. */
  static String nameFor(LeafReader leaf) {
    return HexFormat.of().formatHex(segmentId(leaf)) + SUFFIX;
  }

  private static byte[] segmentId(LeafReader leaf) {
    return ((SegmentReader) FilterLeafReader.unwrap(leaf)).getSegmentInfo().info.getId();
  }

  /** Opens what was made of a segment; {@code null} if there is no such file in the folder. */
  static Accelerator open(Path folder, LeafReader leaf) throws IOException {
    Path path = folder.resolve(nameFor(leaf));
    return Files.exists(path) ? new Accelerator(path, segmentId(leaf), leaf.maxDoc()) : null;
  }

  /** Whether there is a file for a segment that is not known to be damaged. */
  static boolean isUsable(Path folder, LeafReader leaf) throws IOException {
    try (Accelerator found = open(folder, leaf)) {
      return found != null;
    } catch (Unusable e) {
      return false;
    }
  }

  /** Bytes of a term's lists; 0 if the segment lacks the term, -1 if they are not kept. */
  long bytes(BytesRef term) {
    int at = find(term);
    return at < 0 ? 0 : starts[at + 1] == starts[at] ? -1 : starts[at + 1] - starts[at];
  }

  private int find(BytesRef term) {
    int low = 0;
    int high = starts.length - 2;
    while (low <= high) {
      int middle = low + high >>> 1;
      int order = Arrays.compareUnsigned(terms, termStarts[middle], termStarts[middle + 1], term.bytes, term.offset,
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

  Path path() {
    return path;
  }

  /** Whether a list turned out not to be what was written. */
  boolean isDamaged() {
    return isDamaged;
  }

  /** Reads the lists of a term; {@code null} if they are not kept, or the file is damaged. */
  ImpactPlanes readIfSound(BytesRef term, int docFreq) {
    try {
      return isDamaged || bytes(term) <= 0 ? null : read(term, docFreq);
    } catch (Unusable | IndexOutOfBoundsException | BufferUnderflowException e) {
      isDamaged = true;
      return null;
    }
  }

  private ImpactPlanes read(BytesRef term, int docFreq) throws Unusable {
    int at = find(term);
    ByteBuffer chunk = chunks[(int) (starts[at] / CHUNK)];
    ByteBuffer in = chunk.slice((int) (starts[at] % CHUNK), (int) (starts[at + 1] - starts[at])).order(ByteOrder.LITTLE_ENDIAN);
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
    return new ImpactPlanes(lists, factors, docFreq);
  }

  @Override
  public void close() throws IOException {
    file.close();
  }

  /** Of the longest lists of an index that take so many bytes together, the postings of the shortest; 1: there is room for all. */
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
          long its = writtenBytes(reader.read(each, leaf.reader().maxDoc(), each.docFreq()));
          bytesByLength.merge(each.docFreq(), its, Long::sum);
          left -= 12 + term.length; // of the directory
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

  /** Makes the file of a segment, with the lists of so many postings and more; it appears under its name when it is whole. */
  static void write(Path folder, LeafReader leaf, int shortest) throws IOException {
    Path path = folder.resolve(nameFor(leaf));
    Path partial = path.resolveSibling(path.getFileName() + ".partial");
    try {
      try (FileChannel out = FileChannel.open(partial, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
          StandardOpenOption.WRITE)) {
        new Writer(out, leaf, shortest).write();
        out.force(true);
      }
      Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  private static final class Writer {
    private final FileChannel out;
    private final LeafReader leaf;
    private final int shortest; // list that is kept
    private final PostingsReader reader = new PostingsReader();
    private final Packed.Writer termBytes = new Packed.Writer();
    private long[] starts = new long[1 << 12];
    private int[] termStarts = new int[1 << 12];
    private int count = 0;
    private ByteBuffer buffer = ByteBuffer.allocate(1 << 20).order(ByteOrder.LITTLE_ENDIAN);

    Writer(FileChannel out, LeafReader leaf, int shortest) {
      this.out = out;
      this.leaf = leaf;
      this.shortest = shortest;
    }

    void write() throws IOException {
      out.position(HEADER);
      Terms terms = leaf.terms(Fields.CONTENTS);
      if (terms != null) {
        TermsEnum each = terms.iterator();
        for (BytesRef term = each.next(); term != null; term = each.next()) {
          begin(term);
          if (each.docFreq() >= shortest) {
            add(reader.read(each, leaf.maxDoc(), each.docFreq()));
          }
        }
      }
      begin(new BytesRef());
      flush();
      long directory = out.position();
      ByteBuffer tail = ByteBuffer.allocate(12 * count + termBytes.size()).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < count; i++) {
        tail.putLong(starts[i]);
      }
      for (int i = 0; i < count; i++) {
        tail.putInt(termStarts[i]);
      }
      tail.put(termBytes.toByteArray()).flip();
      ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
      header.putLong(MAGIC).putInt(VERSION).put(segmentId(leaf)).putInt(leaf.maxDoc()).putInt(count - 1).putLong(directory);
      header.putInt(checksum(tail, header)).flip();
      put(tail);
      out.position(0);
      put(header);
    }

    private void begin(BytesRef term) throws IOException {
      if (count == starts.length) {
        starts = Arrays.copyOf(starts, 2 * count);
        termStarts = Arrays.copyOf(termStarts, 2 * count);
      }
      starts[count] = out.position() + buffer.position();
      termStarts[count++] = termBytes.size();
      termBytes.writeRaw(term.bytes, term.offset, term.length);
    }

    private void add(ImpactPlanes planes) throws IOException {
      long length = writtenBytes(planes);
      if (length > CHUNK) {
        return; // read from Lucene instead
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
