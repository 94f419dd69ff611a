package io.spladelucene.bm25;

import io.spladelucene.RandomCollection;
import io.spladelucene.fields.FieldSchema;
import io.spladelucene.index.BulkIndexer;
import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.index.ImpactIndexWriter;
import io.spladelucene.search.Cancellation;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FilterDirectory;
import org.apache.lucene.tests.util.LuceneTestCase;
import org.apache.lucene.util.BytesRef;

/** The field has what an index of the same texts has, whoever wrote it. */
public class Bm25FieldTest extends LuceneTestCase {
  private static final List<String> WORDS =
      List.of("running", "runner", "the", "cats", "café", "U.S.", "漢字", "indexes", "of", "😀", "x");

  private static Map<String, String> draw(int count) {
    Map<String, String> texts = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      StringBuilder text = new StringBuilder();
      for (int left = random().nextInt(random().nextInt(20) == 0 ? 5000 : 60); left > 0; left--) {
        text.append(WORDS.get(random().nextInt(WORDS.size()))).append(' ');
      }
      texts.put("d" + i, text.toString());
    }
    texts.put("empty", "");
    return texts;
  }

  private static void writeTexts(Map<String, String> texts, Directory directory) throws Exception {
    PackedWriter batch = new PackedWriter();
    batch.writeInt(texts.size());
    texts.forEach(
        (docid, text) -> {
          batch.writeString(docid);
          batch.writeString(null);
          batch.writeString(text);
        });
    Directory kept =
        new FilterDirectory(directory) {
          @Override
          public void close() {} // it is read afterwards
        };
    Bm25Writer writer = new Bm25Writer(kept, 1);
    writer.add(batch.toByteArray());
    assertNull(writer.finish());
  }

  private static void bulk(
      Map<String, String> texts, Directory directory, boolean append, String order, long memory)
      throws Exception {
    Path file = createTempDir().resolve("part.jsonl");
    StringBuilder lines = new StringBuilder();
    texts.forEach(
        (docid, text) -> {
          String contents = random().nextBoolean() ? text : text.replace("é", "\\u00e9");
          lines.append("{\"id\": \"").append(docid).append("\", \"contents\": \"");
          lines.append(contents).append("\", \"vector\": {\"w").append(random().nextInt(50));
          lines.append("\": 3}}\n");
        });
    Files.writeString(file, lines);
    BulkIndexer build =
        new BulkIndexer(
            List.of(file),
            directory,
            "text",
            2,
            false,
            append,
            append,
            order,
            memory,
            FieldSchema.NONE,
            true);
    build.start();
    assertTrue(build.await(60_000));
    String result = build.result();
    long empty = texts.values().stream().filter(text -> text.replace("the", "").isBlank()).count();
    assertTrue(result, empty > 0 && result.contains("\"without_text\":"));
    build.writer().commit(new byte[0]);
    build.writer().close();
  }

  private static void put(Map<String, String> texts, Directory directory, boolean append)
      throws IOException {
    PackedWriter batch = new PackedWriter();
    batch.writeInt(texts.size());
    texts.forEach(
        (docid, text) -> {
          batch.writeString(docid);
          batch.writeString(null);
          batch.writeString(text);
          batch.writeInt(1);
          batch.writeInt(3);
          batch.writeString("w" + random().nextInt(50));
          batch.writeString(null);
        });
    try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, append)) {
      writer.put(batch.toByteArray());
      writer.commit(new byte[0]);
    }
  }

  private static void optimize(Directory directory) throws IOException {
    try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, true)) {
      writer.optimize(2, 1 << 20);
      writer.commit(new byte[0]);
    }
  }

  /** The norms by docid, the postings by term and docid, and the counts of a field. */
  private static String contents(Directory directory, String field) throws IOException {
    Map<String, Object> found = new TreeMap<>();
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      assertEquals(0, reader.numDeletedDocs());
      long[] counts = new long[3];
      for (LeafReaderContext leaf : reader.leaves()) {
        String[] docids = new String[leaf.reader().maxDoc()];
        NumericDocValues norms = leaf.reader().getNormValues(field);
        for (int doc = 0; doc < docids.length; doc++) {
          docids[doc] = leaf.reader().storedFields().document(doc).get(Fields.ID);
          assertTrue(norms.advanceExact(doc));
          found.put("norm " + docids[doc], norms.longValue());
        }
        Terms terms = leaf.reader().terms(field);
        if (terms == null) {
          continue;
        }
        counts[0] += terms.getDocCount();
        counts[1] += terms.getSumDocFreq();
        counts[2] += terms.getSumTotalTermFreq();
        TermsEnum each = terms.iterator();
        for (BytesRef term = each.next(); term != null; term = each.next()) {
          PostingsEnum postings = each.postings(null, PostingsEnum.FREQS);
          while (postings.nextDoc() != PostingsEnum.NO_MORE_DOCS) {
            found.put(term.utf8ToString() + " " + docids[postings.docID()], postings.freq());
          }
        }
      }
      found.put("counts", List.of(counts[0], counts[1], counts[2]));
    }
    return found.toString();
  }

  public void testEveryWriterWritesWhatAnIndexOfTextsHas() throws Exception {
    Map<String, String> texts = draw(1 + random().nextInt(500));
    String expected;
    try (Directory directory = newDirectory()) {
      writeTexts(texts, directory);
      expected = contents(directory, Fields.CONTENTS);
    }
    for (String order : List.of("input", "bp")) {
      for (long memory : new long[] {Long.MAX_VALUE, 20_000}) {
        try (Directory directory = newDirectory()) {
          bulk(texts, directory, false, order, memory);
          assertEquals(expected, contents(directory, Fields.BM25));
          bulk(texts, directory, true, order, memory); // replaces all documents
          put(texts, directory, true);
          optimize(directory);
          assertEquals(expected, contents(directory, Fields.BM25));
        }
      }
    }
    try (Directory directory = newDirectory()) {
      put(texts, directory, false);
      assertEquals(expected, contents(directory, Fields.BM25));
      optimize(directory);
      assertEquals(expected, contents(directory, Fields.BM25));
      try (ImpactIndexReader reader = new ImpactIndexReader(directory)) {
        assertTrue(Bm25Field.isIn(reader));
      }
    }
  }

  /** Files of documents, each of 20 words that no other document has. */
  private static List<Path> writeManyTerms(int files, int documents, Map<String, String> texts)
      throws IOException {
    Path folder = createTempDir();
    List<Path> paths = new ArrayList<>();
    for (int file = 0; file < files; file++) {
      StringBuilder lines = new StringBuilder();
      for (int document = 0; document < documents; document++) {
        String docid = "m" + file + "-" + document;
        StringBuilder text = new StringBuilder();
        for (int word = 0; word < 20; word++) {
          text.append("zq").append(file).append('q').append(document).append('q').append(word);
          text.append(' ');
        }
        texts.put(docid, text.toString());
        lines.append("{\"id\": \"").append(docid).append("\", \"contents\": \"").append(text);
        lines.append("\", \"vector\": {\"a\": 1}}\n");
      }
      paths.add(folder.resolve("part" + file + ".jsonl"));
      Files.writeString(paths.get(file), lines);
    }
    return paths;
  }

  public void testTheTermsOfTextsCountAsMemory() throws Exception {
    Map<String, String> texts = new TreeMap<>();
    List<Path> files = writeManyTerms(8, 100, texts);
    String expected;
    try (Directory directory = newDirectory()) {
      writeTexts(texts, directory);
      expected = contents(directory, Fields.CONTENTS);
    }
    long postings = 800 * 700L; // more than all blocks take without their terms, less than with
    for (int threads : new int[] {1, 3}) {
      try (Directory directory = newDirectory()) {
        put(Map.of("first", "text"), directory, false);
        BulkIndexer build =
            new BulkIndexer(
                files,
                directory,
                "none",
                threads,
                false,
                true,
                true,
                "bp",
                postings,
                FieldSchema.NONE,
                true);
        build.start();
        assertTrue(build.await(60_000));
        assertTrue(build.result(), build.result().contains("\"documents\":800,"));
        try (ImpactIndexWriter writer = build.writer()) {
          writer.delete(RandomCollection.packStrings(List.of("first")));
          writer.commit(new byte[0]);
        }
        try (DirectoryReader reader = DirectoryReader.open(directory)) {
          // Two files have about half of the terms: 100 documents with 20 terms of 130 bytes each.
          assertEquals(4, reader.leaves().size());
        }
        assertEquals(expected, contents(directory, Fields.BM25));
      }
    }
  }

  /** Stops a search when it, or Lucene for it, asks for the n-th time. */
  private static Cancellation atQuestion(int number) {
    AtomicInteger left = new AtomicInteger(number);
    return new Cancellation() {
      @Override
      public boolean isCancelled() {
        return left.decrementAndGet() <= 0;
      }
    };
  }

  public void testAStoppedSearchThrowsWhereverItIs() throws Exception {
    try (Directory directory = newDirectory()) {
      put(draw(2000), directory, false);
      try (ImpactIndexReader reader = new ImpactIndexReader(directory)) {
        byte[] texts = RandomCollection.packStrings(List.of("a runner and cats", "x"));
        byte[] expected = Bm25Field.search(reader, texts, 10, 0.9f, 0.4f, 1, null, null);
        int stopped = 0;
        for (boolean hasEnded = false; !hasEnded; ) {
          Cancellation cancellation = atQuestion(stopped + 1);
          try {
            byte[] found = Bm25Field.search(reader, texts, 10, 0.9f, 0.4f, 1, null, cancellation);
            assertArrayEquals(expected, found);
            hasEnded = true;
          } catch (CancellationException e) {
            stopped++;
          }
        }
        assertTrue("asked " + stopped + " times", stopped > 4); // twice per query, and by Lucene
      }
    }
  }
}
