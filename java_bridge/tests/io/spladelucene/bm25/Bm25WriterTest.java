package io.spladelucene.bm25;

import io.spladelucene.RandomCollection;
import io.spladelucene.index.Fields;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexNotFoundException;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FilterDirectory;
import org.apache.lucene.tests.store.MockDirectoryWrapper;
import org.apache.lucene.tests.util.LuceneTestCase;
import org.apache.lucene.util.BytesRef;

/** With a random codec of Lucene's, in a directory that checks and fails. */
public class Bm25WriterTest extends LuceneTestCase {
  private static byte[] pack(List<String> docids, List<String> texts) {
    PackedWriter out = new PackedWriter();
    out.writeInt(docids.size());
    for (int i = 0; i < docids.size(); i++) {
      out.writeString(docids.get(i));
      out.writeString(i % 2 == 0 ? "raw of " + docids.get(i) : null);
      out.writeString(texts.get(i));
    }
    return out.toByteArray();
  }

  /** Texts of made-up words that the English analyzer keeps as they are. */
  private static String text() {
    List<String> words = new ArrayList<>();
    for (int left = 1 + random().nextInt(20); left > 0; left--) {
      words.add("w" + random().nextInt(30) + "x");
    }
    return String.join(" ", words);
  }

  private static Map<String, Long> frequencies(Directory directory) throws IOException {
    Map<String, Long> frequencies = new TreeMap<>();
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      TermsEnum terms = MultiTerms.getTerms(reader, Fields.CONTENTS).iterator();
      for (BytesRef term = terms.next(); term != null; term = terms.next()) {
        frequencies.put(term.utf8ToString(), terms.totalTermFreq());
      }
    }
    return frequencies;
  }

  /** A directory that stays open when the writer closes it. */
  private static Directory open(Directory directory) {
    return new FilterDirectory(directory) {
      @Override
      public void close() {}
    };
  }

  public void testAnIndexHasTheWordsOfTheTexts() throws Exception {
    for (int threads : new int[] {1, 3}) {
      try (Directory directory = newDirectory()) {
        Bm25Writer writer = new Bm25Writer(open(directory), threads);
        Map<String, Long> expected = new TreeMap<>();
        int count = 0;
        for (int batch = 0; batch < 20; batch++) {
          List<String> docids = new ArrayList<>();
          List<String> texts = new ArrayList<>();
          for (int left = 1 + random().nextInt(30); left > 0; left--) {
            docids.add("d" + count++);
            texts.add(text());
            for (String word : texts.get(texts.size() - 1).split(" ")) {
              expected.merge(word, 1L, Long::sum);
            }
          }
          writer.add(pack(docids, texts));
        }
        assertNull(writer.finish());
        assertEquals(expected, frequencies(directory));
        try (Bm25Index index = new Bm25Index(directory, 0.9f, 0.4f)) {
          assertEquals(count, index.numDocs());
          assertTrue(index.holdsTexts());
          int first = index.luceneDocid("d0");
          PackedWriter wanted = new PackedWriter();
          wanted.writeInt(1);
          wanted.writeInt(first);
          PackedWriter raw = new PackedWriter();
          raw.writeString("raw of d0");
          assertArrayEquals(raw.toByteArray(), index.raw(wanted.toByteArray()));
          assertEquals(-1, index.luceneDocid("unknown"));
          byte[] queries = RandomCollection.packStrings(List.of("w1x w2x", "nothing", "w3x"));
          assertArrayEquals(index.search(queries, 5, 1), index.search(queries, 5, 2));
        }
      }
    }
  }

  public void testADuplicateDocidIsNamed() throws Exception {
    try (Directory directory = newDirectory()) {
      Bm25Writer writer = new Bm25Writer(open(directory), 1);
      writer.add(pack(List.of("a", "b"), List.of("x", "y")));
      writer.add(pack(List.of("c", "b"), List.of("x", "y")));
      assertEquals("b", writer.finish());
    }
  }

  public void testRollbackDropsEverything() throws Exception {
    for (int threads : new int[] {1, 3}) {
      try (Directory directory = newDirectory()) {
        Bm25Writer writer = new Bm25Writer(open(directory), threads);
        for (int batch = 0; batch < 30; batch++) {
          writer.add(pack(List.of("d" + batch), List.of(text())));
        }
        writer.rollback();
        expectThrows(IndexNotFoundException.class, () -> DirectoryReader.open(directory));
      }
    }
  }

  public void testABatchThatFailsReachesTheCaller() throws Exception {
    byte[] whole = pack(List.of("a", "b"), List.of("x", "y"));
    for (int threads : new int[] {1, 3}) {
      try (Directory directory = newDirectory()) {
        Bm25Writer writer = new Bm25Writer(open(directory), threads);
        expectThrows(
            RuntimeException.class,
            () -> {
              writer.add(Arrays.copyOf(whole, whole.length - 8));
              writer.finish();
            });
        writer.rollback();
      }
    }
  }

  public void testAFullDiskReachesTheCaller() throws Exception {
    for (int threads : new int[] {1, 3}) {
      try (MockDirectoryWrapper directory = newMockDirectory()) {
        directory.setMaxSizeInBytes(2000);
        Bm25Writer writer = new Bm25Writer(open(directory), threads);
        expectThrows(
            Exception.class,
            () -> {
              for (int batch = 0; batch < 100; batch++) {
                writer.add(pack(List.of("d" + batch), List.of(text())));
              }
              writer.finish();
            });
        try {
          writer.rollback();
        } catch (Exception e) {
          // Lucene has closed it after the failure.
        }
        directory.setMaxSizeInBytes(0);
      }
    }
  }
}
