package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.fields.FieldSchema;
import io.spladelucene.index.BulkIndexer;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.index.ImpactIndexWriter;
import io.spladelucene.wire.PackedWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import org.apache.lucene.document.DoublePoint;
import org.apache.lucene.document.LongField;
import org.apache.lucene.document.LongPoint;
import org.apache.lucene.document.SortedNumericDocValuesField;
import org.apache.lucene.document.SortedSetDocValuesField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.FieldExistsQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.PrefixQuery;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.store.Directory;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.NumericUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Lucene's own queries on the fields that both writers write accept the documents of our filters.
 */
class FieldFilterTest {
  private static final int DOCUMENTS = 3000;
  private static final String[] LANGUAGES = {"de", "de-AT", "en", "", "漢字"};

  @TempDir Path folder;

  private static byte[] schema() {
    PackedWriter out = new PackedWriter();
    List<String> pairs = List.of("lang", "keyword[]", "year", "integer", "price", "number");
    out.writeInt(pairs.size());
    pairs.forEach(out::writeString);
    return out.toByteArray();
  }

  /** A line of a pseudo-document, some of whose fields are missing. */
  private static String line(Random random, int number) {
    List<String> fields = new ArrayList<>();
    if (random.nextInt(4) > 0) {
      String other = LANGUAGES[random.nextInt(LANGUAGES.length)];
      fields.add("\"lang\": [\"" + LANGUAGES[random.nextInt(3)] + "\", \"" + other + "\"]");
    }
    if (random.nextInt(4) > 0) {
      fields.add("\"year\": " + (random.nextInt(40) - 20));
    }
    if (random.nextInt(4) > 0) {
      fields.add("\"price\": " + (random.nextInt(100) - 50) / 4.0);
    }
    String values = String.join(", ", fields);
    return "{\"id\": \"d%d\", \"vector\": {\"a\": %d}, \"fields\": {%s}}"
        .formatted(number, 1 + random.nextInt(9), values);
  }

  private void build(Directory directory, String order, long memory) throws Exception {
    Random random = new Random(31);
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < DOCUMENTS; i++) {
      lines.add(line(random, i));
    }
    Path file = folder.resolve("docs.jsonl");
    Files.write(file, lines);
    BulkIndexer build =
        new BulkIndexer(
            List.of(file),
            directory,
            "none",
            2,
            false,
            false,
            false,
            order,
            memory,
            FieldSchema.read(schema()),
            false);
    build.start();
    while (!build.await(1000)) {
      assertTrue(build.documents() >= 0);
    }
    assertTrue(build.result().contains("\"failed\":false"));
    try (ImpactIndexWriter writer = build.writer()) {
      writer.prepare();
      writer.commit(new byte[0]);
    }
  }

  private static byte[] pack(Consumer<PackedWriter> write) {
    PackedWriter out = new PackedWriter();
    write.accept(out);
    return out.toByteArray();
  }

  private static byte[] range(String field, long first, long last) {
    return pack(
        out -> {
          out.writeInt(6);
          out.writeString(field);
          out.writeLong(first);
          out.writeLong(last);
        });
  }

  private static byte[] keywords(String... keywords) {
    return pack(
        out -> {
          out.writeInt(4);
          out.writeString("lang");
          out.writeInt(keywords.length);
          Arrays.stream(keywords).forEach(out::writeString);
        });
  }

  private static byte[] keywordRange(String first, String end) {
    return pack(
        out -> {
          out.writeInt(5);
          out.writeString("lang");
          out.writeString(first);
          out.writeString(end);
        });
  }

  private static byte[] exists(String field, boolean isKeyword) {
    return pack(
        out -> {
          out.writeInt(isKeyword ? 7 : 8);
          out.writeString(field);
        });
  }

  private static byte[] joined(int kind, byte[]... parts) {
    return pack(
        out -> {
          out.writeInt(kind);
          if (kind != 3) {
            out.writeInt(parts.length);
          }
          Arrays.stream(parts).forEach(out::writeRaw);
        });
  }

  private static Query bool(BooleanClause.Occur occur, Query... parts) {
    BooleanQuery.Builder builder = new BooleanQuery.Builder();
    for (Query each : parts) {
      builder.add(each, occur);
    }
    if (occur == BooleanClause.Occur.MUST_NOT) {
      builder.add(new PrefixQuery(new Term("id", "")), BooleanClause.Occur.MUST); // all documents
    }
    return builder.build();
  }

  private static Query term(String keyword) {
    return new TermQuery(new Term("lang", keyword));
  }

  private static void assertSame(ImpactIndexReader ours, IndexSearcher theirs) throws Exception {
    long least = NumericUtils.doubleToSortableLong(-3.5);
    long most = NumericUtils.doubleToSortableLong(7.25);
    assertSame(ours, theirs, range("year", -5, 5), LongPoint.newRangeQuery("year", -5, 5));
    assertSame(ours, theirs, range("year", 3, 3), LongPoint.newExactQuery("year", 3));
    assertSame(ours, theirs, range("year", -5, 5), LongField.newRangeQuery("year", -5, 5));
    assertSame(
        ours,
        theirs,
        range("year", 0, Long.MAX_VALUE),
        SortedNumericDocValuesField.newSlowRangeQuery("year", 0, Long.MAX_VALUE));
    assertSame(
        ours, theirs, range("price", least, most), DoublePoint.newRangeQuery("price", -3.5, 7.25));
    assertSame(ours, theirs, keywords("de"), term("de"));
    assertSame(
        ours,
        theirs,
        keywords("de", "漢字", "fr"),
        bool(BooleanClause.Occur.SHOULD, term("de"), term("漢字")));
    assertSame(
        ours,
        theirs,
        keywords("en"),
        SortedSetDocValuesField.newSlowExactQuery("lang", new BytesRef("en")));
    assertSame(
        ours,
        theirs,
        keywordRange("de-", null),
        SortedSetDocValuesField.newSlowRangeQuery("lang", new BytesRef("de-"), null, true, true));
    assertSame(ours, theirs, keywordRange("de", "df"), new PrefixQuery(new Term("lang", "de")));
    for (String field : List.of("lang", "year", "price")) {
      assertSame(ours, theirs, exists(field, field.equals("lang")), new FieldExistsQuery(field));
    }
    assertSame(
        ours,
        theirs,
        joined(1, range("year", 0, 9), joined(3, keywords("de")), exists("price", false)),
        bool(
            BooleanClause.Occur.MUST,
            LongPoint.newRangeQuery("year", 0, 9),
            bool(BooleanClause.Occur.MUST_NOT, term("de")),
            new FieldExistsQuery("price")));
    assertEquals(0, filter(ours, pack(out -> out.writeInt(0))).size());
    assertEquals(0, filter(ours, range("unknown", 0, 9)).size());
    assertEquals(ours.numDocs(), filter(ours, joined(3, range("unknown", 0, 9))).size());
  }

  private static DocumentFilter filter(ImpactIndexReader index, byte[] condition) throws Exception {
    return DocumentFilter.of(index, FieldCondition.read(condition), Cancellation.NEVER);
  }

  private static void assertSame(
      ImpactIndexReader ours, IndexSearcher theirs, byte[] condition, Query query)
      throws Exception {
    DocumentFilter filter = filter(ours, condition);
    TreeSet<Integer> accepted = new TreeSet<>();
    for (var leaf : ours.leaves()) {
      QueryLists lists = filter.lists(leaf, 0);
      for (int doc = 0; doc < leaf.reader().maxDoc(); doc++) {
        if (lists.accepts(doc)) {
          accepted.add(leaf.docBase + doc);
        }
      }
    }
    TreeSet<Integer> expected = new TreeSet<>();
    for (ScoreDoc each : theirs.search(query, DOCUMENTS).scoreDocs) {
      expected.add(each.doc);
    }
    assertEquals(expected, accepted, query.toString());
    assertEquals(expected.size(), filter.size());
    assertTrue(expected.size() > 20 && expected.size() < DOCUMENTS - 20, query + " is no test");
  }

  @Test
  void bulkIndexes() throws Exception {
    for (String order : List.of("bp", "input")) {
      try (Directory directory = new ByteBuffersDirectory()) {
        build(directory, order, order.equals("bp") ? Long.MAX_VALUE : 20_000);
        try (ImpactIndexReader ours = new ImpactIndexReader(directory);
            DirectoryReader theirs = DirectoryReader.open(directory)) {
          assertSame(ours, new IndexSearcher(theirs));
        }
      }
    }
  }

  @Test
  void deletedDocumentsAndSeveralSegments() throws Exception {
    try (Directory directory = new ByteBuffersDirectory()) {
      build(directory, "input", Long.MAX_VALUE);
      try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, true)) {
        writer.declare(FieldSchema.read(schema()));
        writer.put(
            pack(
                out -> {
                  out.writeInt(2000);
                  for (int i = 0; i < 2000; i++) { // replaces documents
                    byte[] keyword = LANGUAGES[i % 5].getBytes(StandardCharsets.UTF_8);
                    out.writeString("d" + i);
                    out.writeString(null);
                    out.writeString(null);
                    out.writeInt(1);
                    out.writeInt(3);
                    out.writeString("a");
                    int year = i % 30 - 10;
                    out.writeBytes(
                        new BytesRef(
                            pack(
                                values -> {
                                  values.writeInt(0);
                                  values.writeBytes(new BytesRef(keyword));
                                  values.writeInt(1);
                                  values.writeLong(year);
                                })));
                  }
                }));
        writer.prepare();
        writer.commit(new byte[0]);
      }
      try (ImpactIndexReader ours = new ImpactIndexReader(directory);
          DirectoryReader theirs = DirectoryReader.open(directory)) {
        assertTrue(ours.leaves().size() > 1);
        assertEquals(DOCUMENTS, ours.numDocs());
        assertSame(ours, new IndexSearcher(theirs));
      }
    }
  }

  /** Stops the making of a filter at each question, and returns how many there are. */
  private static int stopEverywhere(ImpactIndexReader index, byte[] condition) throws Exception {
    int[] asked = {0};
    for (int stopped = 1; ; stopped++) {
      int last = stopped;
      asked[0] = 0;
      Cancellation cancellation =
          new Cancellation() {
            @Override
            public boolean isCancelled() {
              return ++asked[0] == last;
            }
          };
      try {
        DocumentFilter.of(index, FieldCondition.read(condition), cancellation);
        return asked[0];
      } catch (CancellationException stoppedAsAsked) {
        assertEquals(last, asked[0]);
      }
    }
  }

  @Test
  void aFilterThatIsStoppedIsNotMade() throws Exception {
    try (Directory directory = new ByteBuffersDirectory()) {
      build(directory, "input", Long.MAX_VALUE);
      try (ImpactIndexReader index = new ImpactIndexReader(directory)) {
        int segments = index.leaves().size();
        assertTrue(stopEverywhere(index, keywords("de", "en")) >= 3 * segments);
        assertTrue(stopEverywhere(index, keywordRange("de", null)) >= 3 * segments);
        assertTrue(stopEverywhere(index, range("year", -5, 5)) >= 2 * segments);
        assertTrue(stopEverywhere(index, exists("price", false)) >= 2 * segments);
        byte[] several = joined(1, joined(3, keywords("de")), joined(2, keywords("en")));
        assertTrue(stopEverywhere(index, several) >= 3 * segments);
      }
    }
  }

  @Test
  void onlyFewDocumentsMakeASelection() {
    long[] accepted = {-1L, 0, 0, 0, 0, 0, 0, 0};
    assertNull(Selection.of(accepted, 64, 511, 1 << 20));
    assertTrue(Selection.of(accepted, 64, 512, 1 << 20) != null);
  }
}
