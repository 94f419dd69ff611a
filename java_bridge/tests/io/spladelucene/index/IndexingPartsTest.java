package io.spladelucene.index;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.postings.InvertedBlock;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The smaller parts of a build: lines, docids, the order of documents. */
class IndexingPartsTest {
  @TempDir Path folder;

  @Test
  void aDocidSetKnowsWhereADocidWasAdded() {
    DocidSet docids = new DocidSet();
    for (int i = 0; i < 50_000; i++) {
      assertEquals(-1, docids.add(("d" + i).getBytes(StandardCharsets.UTF_8), i));
    }
    for (int i = 0; i < 50_000; i += 11) {
      assertEquals(i, docids.add(("d" + i).getBytes(StandardCharsets.UTF_8), 99));
    }
  }

  private byte[] write(Path file, int lines, Random random) throws IOException {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    for (int line = 0; line < lines; line++) {
      text.writeBytes((line + "x".repeat(random.nextInt(40_000)) + "\n").getBytes());
    }
    text.writeBytes("the last line has no end".getBytes());
    try (OutputStream plain = Files.newOutputStream(file);
        OutputStream out = file.toString().endsWith(".gz") ? new GZIPOutputStream(plain) : plain) {
      out.write(text.toByteArray());
    }
    return text.toByteArray();
  }

  @Test
  void blocksHaveWholeLinesOfOneFileInOrder() throws IOException {
    Random random = new Random(61);
    Path empty = Files.createFile(folder.resolve("empty"));
    List<Path> files = List.of(folder.resolve("a"), empty, folder.resolve("b.gz"));
    byte[][] expected = {write(files.get(0), 1000, random), {}, write(files.get(2), 500, random)};
    ByteArrayOutputStream[] found = {
      new ByteArrayOutputStream(), new ByteArrayOutputStream(), new ByteArrayOutputStream()
    };
    int blocks = 0;
    try (LineBlocks in = new LineBlocks(files)) {
      int file = 0;
      for (LineBlocks.Block block = in.next(); block != null; block = in.next(), blocks++) {
        assertTrue(block.file() >= file);
        file = block.file();
        found[file].write(block.bytes(), 0, block.length());
        boolean isWhole = block.bytes()[block.length() - 1] == '\n';
        assertTrue(isWhole || found[file].size() == expected[file].length);
      }
      long size = 0;
      for (Path each : files) {
        size += Files.size(each);
      }
      assertEquals(size, in.bytesRead());
    }
    assertTrue(blocks > 3, blocks + " blocks");
    for (int file = 0; file < 3; file++) {
      assertArrayEquals(expected[file], found[file].toByteArray());
    }
  }

  @Test
  void aTruncatedFileIsNamedAfterItsWholeLines() throws IOException {
    Path file = folder.resolve("a.gz");
    write(file, 10, new Random(62));
    byte[] whole = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(whole, whole.length / 2));
    try (LineBlocks in = new LineBlocks(List.of(file))) {
      LineBlocks.Block block = in.next();
      assertEquals('\n', block.bytes()[block.length() - 1]);
      LineBlocks.UnreadableInput error = assertThrows(LineBlocks.UnreadableInput.class, in::next);
      assertEquals(0, error.file);
    }
    Files.writeString(file, "not gzip");
    try (LineBlocks in = new LineBlocks(List.of(file))) {
      assertThrows(LineBlocks.UnreadableInput.class, in::next);
    }
  }

  @Test
  void graphBisectionPutsDocumentsWithTheSameTermsTogether() {
    int documents = 4096;
    Random random = new Random(63);
    int[] starts = IntStream.rangeClosed(0, documents).map(i -> 4 * i).toArray();
    int[] topics = random.ints(documents, 0, 8).toArray();
    int[] terms =
        IntStream.range(0, documents)
            .flatMap(i -> random.ints(4, 20 * topics[i], 20 * topics[i] + 20))
            .toArray();
    int[] order = GraphBisection.order(starts, terms, 160, 1);
    int[] sorted = order.clone();
    Arrays.sort(sorted);
    assertArrayEquals(IntStream.range(0, documents).toArray(), sorted);
    long changes =
        IntStream.range(1, documents).filter(i -> topics[order[i]] != topics[order[i - 1]]).count();
    assertTrue(changes < documents / 16, changes + " changes of topic"); // at random, 7 of 8
    assertArrayEquals(order, GraphBisection.order(starts, terms, 160, 3));
  }

  @Test
  void reorderingKeepsTheDocuments() throws Exception {
    Random random = new Random(64);
    List<String> expected = new ArrayList<>();
    List<InvertedBlock> blocks = new ArrayList<>();
    for (int block = 0; block < 5; block++) {
      InvertedBlock.Builder builder = new InvertedBlock.Builder();
      for (int i = 0; i < 2000; i++) {
        TreeMap<Integer, Integer> vector = new TreeMap<>();
        random.ints(10, 0, 500).forEach(term -> vector.put(term, 1 + random.nextInt(300)));
        vector.forEach(builder::addPosting);
        byte[] docid = (block + "-" + i).getBytes(StandardCharsets.UTF_8);
        builder.endDocument(docid, 0, docid.length, docid, null);
        expected.add(block + "-" + i + " " + block + "-" + i + " " + vector);
      }
      blocks.add(builder.invert(500));
    }
    List<String> found = new ArrayList<>();
    for (InvertedBlock block : Reordering.reorder(blocks, 500, 2)) {
      List<TreeMap<Integer, Integer>> vectors = new ArrayList<>();
      for (int document = 0; document < block.documents; document++) {
        vectors.add(new TreeMap<>());
      }
      for (int term = 0; term < block.termIds.length; term++) {
        for (InvertedBlock.Cursor cursor = block.new Cursor(term); cursor.next(); ) {
          vectors.get(cursor.document).put(block.termIds[term], cursor.impact);
        }
      }
      for (int document = 0; document < block.documents; document++) {
        String docid = new String(block.docids[document], StandardCharsets.UTF_8);
        String stored = new String(block.stored[document], StandardCharsets.UTF_8);
        found.add(docid + " " + stored + " " + vectors.get(document));
      }
    }
    assertTrue(!found.equals(expected), "the order did not change");
    found.sort(null);
    expected.sort(null);
    assertEquals(expected, found);
  }
}
