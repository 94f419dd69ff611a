package io.spladelucene.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;

/** The formats, byte by byte, as Python reads and writes them. */
class PackedFormatsTest {
  /** Joins little-endian ints, longs, floats and UTF-8 strings (without a length). */
  private static byte[] bytes(Object... values) {
    ByteBuffer out = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);
    for (Object value : values) {
      switch (value) {
        case Integer number -> out.putInt(number);
        case Long number -> out.putLong(number);
        case Float number -> out.putFloat(number);
        case String text -> out.put(text.getBytes(StandardCharsets.UTF_8));
        default -> throw new IllegalArgumentException(value.toString());
      }
    }
    return Arrays.copyOf(out.array(), out.position());
  }

  @Test
  void aWriterWritesWhatAReaderReads() {
    PackedWriter out = new PackedWriter();
    out.writeInt(-7);
    out.writeString("é😀");
    out.writeString(null);
    out.writeString("");
    out.writeBytes(new BytesRef("xabcx".getBytes(StandardCharsets.UTF_8), 1, 3));
    assertEquals(4 + (4 + 6) + 4 + 4 + (4 + 3), out.size());
    PackedReader in = new PackedReader(out.toByteArray());
    assertEquals(-7, in.readInt());
    assertEquals("é😀", in.readString());
    assertNull(in.readString());
    assertEquals("", in.readString());
    assertEquals(new BytesRef("abc"), in.readBytes());
    assertThrows(BufferUnderflowException.class, in::readInt);
  }

  @Test
  void queries() {
    byte[] batch = bytes(2, /**/ 0, /**/ 2, 10, 20, 3, 2, "abcé");
    List<ImpactQuery> queries = PackedQueries.read(batch);
    assertEquals(2, queries.size());
    assertEquals(0, queries.get(0).size());
    assertArrayEquals(new int[] {10, 20}, queries.get(1).impacts());
    assertArrayEquals(
        new BytesRef[] {new BytesRef("abc"), new BytesRef("é")}, queries.get(1).terms());
    assertThrows(
        RuntimeException.class, () -> PackedQueries.read(Arrays.copyOf(batch, batch.length - 1)));
  }

  @Test
  void heaviestKeepsTheLargestImpactsAndTheFirstOfEqualOnes() {
    BytesRef[] terms = {new BytesRef("a"), new BytesRef("b"), new BytesRef("c"), new BytesRef("d")};
    ImpactQuery query = new ImpactQuery(terms, new int[] {2, 5, 2, 9});
    ImpactQuery heaviest = query.heaviest(3);
    assertArrayEquals(new BytesRef[] {terms[3], terms[1], terms[0]}, heaviest.terms());
    assertArrayEquals(new int[] {9, 5, 2}, heaviest.impacts());
    assertSame(query, query.heaviest(4));
  }

  @Test
  void impactDocuments() {
    byte[] batch =
        bytes(
            2, 1, "a", 3, "raw", 4, "text", 2, 7, 2, "xy", 300, 1, "z", 3, "val", /**/ 1, "b", -1,
            -1, 0, -1);
    List<ImpactDocument> documents = new ArrayList<>();
    PackedDocuments.readImpactDocuments(batch).forEach(documents::add);
    assertEquals(2, documents.size());
    assertEquals("a", documents.get(0).docid());
    assertEquals("raw", documents.get(0).raw());
    assertEquals("text", documents.get(0).text());
    assertArrayEquals(
        new BytesRef[] {new BytesRef("xy"), new BytesRef("z")}, documents.get(0).terms());
    assertArrayEquals(new int[] {7, 300}, documents.get(0).impacts());
    assertEquals(new BytesRef("val"), documents.get(0).values());
    assertNull(documents.get(1).raw());
    assertNull(documents.get(1).text());
    assertNull(documents.get(1).values());
    assertEquals(0, documents.get(1).terms().length);
  }

  @Test
  void textDocuments() {
    List<TextDocument> documents = new ArrayList<>();
    PackedDocuments.readTextDocuments(bytes(1, 1, "a", -1, 5, "a dog")).forEach(documents::add);
    assertEquals(List.of(new TextDocument("a", null, "a dog")), documents);
  }

  @Test
  void lists() {
    byte[] strings = bytes(2, 2, "é", 0);
    List<Object> read = new ArrayList<>();
    PackedLists.readStrings(strings).forEach(read::add);
    PackedLists.readBytes(strings).forEach(read::add);
    PackedLists.readInts(bytes(2, 5, 6)).forEach(read::add);
    assertEquals(List.of("é", "", new BytesRef("é"), new BytesRef(), 5, 6), read);
    assertEquals(
        List.of(Path.of("/a"), Path.of("b é")),
        PackedLists.readPaths("/a\0b é\0".getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void hits() {
    String[] docids = {"zero", "é", "two"};
    Docids table =
        new Docids() {
          @Override
          public int length(int doc) {
            return docids[doc].getBytes(StandardCharsets.UTF_8).length;
          }

          @Override
          public int copy(int doc, byte[] target, int at) {
            byte[] docid = docids[doc].getBytes(StandardCharsets.UTF_8);
            System.arraycopy(docid, 0, target, at, docid.length);
            return at + docid.length;
          }
        };
    RankedHits hits =
        new RankedHits() {
          @Override
          public int size() {
            return 2;
          }

          @Override
          public long score(int rank) {
            return rank == 0 ? 1L << 40 : 3;
          }

          @Override
          public int luceneDocid(int rank) {
            return rank == 0 ? 2 : 1;
          }
        };
    byte[] packed = PackedHits.pack(hits, table, new long[] {8, 9});
    assertArrayEquals(bytes(2, 1L << 40, 3L, 2, 1, 6, "two\0é", 8L, 9L), packed);
    assertSame(packed, PackedHits.join(List.of(packed)));
    assertArrayEquals(
        new byte[] {1, 2, 3}, PackedHits.join(List.of(new byte[] {1, 2}, new byte[] {3})));
    assertArrayEquals("zero\0é\0".getBytes(StandardCharsets.UTF_8), PackedDocids.pack(table, 2));
  }

  @Test
  void bm25Hits() {
    PackedBm25Hits packed = new PackedBm25Hits();
    packed.add(1.5f, 7, new BytesRef("a"));
    packed.add(0.5f, 4, new BytesRef("b"));
    assertArrayEquals(bytes(2, 1.5f, 0.5f, 7, 4, 3, "a\0b"), packed.toByteArray());
    assertArrayEquals(bytes(0, 0), new PackedBm25Hits().toByteArray());
  }

  @Test
  void tables() {
    PackedTable table = new PackedTable();
    table.addRow("q1", "title", "é");
    assertArrayEquals(bytes(1, 2, "q1", 5, "title", 2, "é"), table.toByteArray());
    PackedTerms terms = new PackedTerms();
    terms.add(new BytesRef("ab"), 3, 1L << 33);
    assertArrayEquals(bytes(1L, 2, "ab", 3, 1L << 33), terms.toByteArray());
    PackedPostings postings = new PackedPostings();
    postings.add(4, 10);
    postings.add(5, 11);
    assertArrayEquals(bytes(2, 4, 5, 10, 11), postings.toByteArray());
  }
}
