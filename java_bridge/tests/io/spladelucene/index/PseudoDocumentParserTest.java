package io.spladelucene.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.fields.FieldSchema;
import io.spladelucene.index.PseudoDocumentParser.Store;
import io.spladelucene.postings.InvertedBlock;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PseudoDocumentParserTest {
  private record Parsed(String docid, String stored, Map<String, Integer> vector) {}

  private final TermDictionary dictionary = new TermDictionary();
  private final InvertedBlock.Builder builder = new InvertedBlock.Builder();

  private PseudoDocumentParser parser(Store store) {
    return new PseudoDocumentParser(
        new TermDictionary.Cache(dictionary), store, FieldSchema.NONE, null);
  }

  /** Parses a line that is not at the start of its buffer. */
  private void add(PseudoDocumentParser parser, byte[] line) throws BadPseudoDocument {
    byte[] buffer = new byte[line.length + 20];
    System.arraycopy(line, 0, buffer, 7, line.length);
    parser.add(buffer, 7, 7 + line.length, builder);
  }

  private Parsed parse(String line, Store store) throws BadPseudoDocument {
    add(parser(store), line.getBytes(StandardCharsets.UTF_8));
    InvertedBlock block = builder.invert(dictionary.size());
    assertEquals(1, block.documents);
    TreeMap<String, Integer> vector = new TreeMap<>();
    for (int term = 0; term < block.termIds.length; term++) {
      InvertedBlock.Cursor cursor = block.new Cursor(term);
      cursor.next();
      vector.put(dictionary.terms().get(block.termIds[term]).utf8ToString(), cursor.impact);
    }
    byte[] stored = block.stored[0];
    return new Parsed(
        new String(block.docids[0], StandardCharsets.UTF_8),
        stored == null ? null : new String(stored, StandardCharsets.UTF_8),
        vector);
  }

  private static String withVector(String vector) {
    return "{\"id\": \"d\", \"contents\": \"c\", \"vector\": " + vector + "}";
  }

  private Map<String, Integer> vectorOf(String vector) throws BadPseudoDocument {
    return parse(withVector(vector), Store.NONE).vector;
  }

  private BadPseudoDocument refuse(byte[] line) {
    InvertedBlock.Builder before = builder;
    BadPseudoDocument bad =
        assertThrows(BadPseudoDocument.class, () -> add(parser(Store.TEXT), line));
    assertEquals(0, before.documents());
    assertEquals(0, before.pendingPostings(), "postings of a bad document stay");
    return bad;
  }

  private String problem(String line) {
    return refuse(line.getBytes(StandardCharsets.UTF_8)).kind;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"id\":\"d\",\"contents\":\"c\",\"vector\":{\"a\":1,\"b\":20}}",
        "  { \"id\" : \"d\" , \"contents\" : \"c\" , \"vector\" : { \"a\" : 1 , \"b\" : 20 } } \r",
        "{\"vector\":{\"a\":1,\"b\":20},\"contents\":\"c\",\"id\":\"d\"}",
        "{\"id\":\"\\u0064\",\"contents\":\"c\",\"vector\":{\"\\u0061\":1,\"b\":20}}",
        "{\"id\":\"d\",\"title\":[{\"x\":[null,1.5e3,true]}],\"contents\":\"c\","
            + "\"vector\":{\"a\":1,\"b\":20}}",
      })
  void theSameDocumentIsReadHoweverItIsWritten(String line) throws BadPseudoDocument {
    assertEquals(
        new Parsed("d", "{\"id\":\"d\",\"contents\":\"c\"}", Map.of("a", 1, "b", 20)),
        parse(line, Store.TEXT));
  }

  @Test
  void escapesInTermsAreDecoded() throws BadPseudoDocument {
    assertEquals(
        Map.of("\"", 1, "\\", 2, "/", 3, "é", 4, "漢", 5, "😀", 6, "a\b", 7),
        vectorOf(
            "{\"\\\"\": 1, \"\\\\\": 2, \"\\/\": 3, \"\\u00E9\": 4, \"\\u6f22\": 5,"
                + " \"\\ud83d\\ude00\": 6, \"a\\b\": 7}"));
  }

  @Test
  void whatIsStored() throws BadPseudoDocument {
    String line = "{\"id\":\"é\",\"contents\":\"a \\\"b\\\" \\u00e9\",\"vector\":{\"a\":1}}";
    assertNull(parse(line, Store.NONE).stored);
    assertEquals(
        "{\"id\":\"é\",\"contents\":\"a \\\"b\\\" \\u00e9\"}", parse(line, Store.TEXT).stored);
    assertEquals(
        "{\n  \"id\" : \"é\",\n  \"contents\" : \"a \\\"b\\\" é\",\n  \"vector\" : {\n"
            + "    \"a\" : 1\n  }\n}",
        parse(line, Store.RAW).stored);
    assertNull(parse("{\"id\":\"d\",\"vector\":{\"a\":1}}", Store.TEXT).stored);
    assertEquals(
        "{\"id\":\"d\",\"contents\":\"\"}",
        parse("{\"id\":\"d\",\"contents\":\"\",\"vector\":{\"a\":1}}", Store.TEXT).stored);
  }

  @Test
  void numbersUpToAnIntAreImpacts() throws BadPseudoDocument {
    assertEquals(Map.of("a", 999_999_999), vectorOf("{\"a\": 999999999}"));
    assertEquals(Map.of("a", 1_000_000_000), vectorOf("{\"a\": 1000000000}"));
    assertEquals(Map.of("a", Integer.MAX_VALUE), vectorOf("{\"a\": 2147483647}"));
    assertEquals(Map.of("a", 7), vectorOf("{\"a\": 7\t}"));
    assertEquals("12", parse("{\"id\":12,\"vector\":{\"a\":1}}", Store.NONE).docid);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0|not-positive",
        "-3|not-positive",
        "-99999999999|not-positive",
        "2147483648|huge-impact",
        "99999999999999999999|huge-impact",
        "1.0|float-impact",
        "1e3|float-impact",
        "\"1\"|not-a-number",
        "null|not-a-number",
        "true|not-a-number",
        "[1]|not-a-number",
        "{}|not-a-number",
        "01|broken-json",
        "+1|broken-json",
        "1x|broken-json",
        "|broken-json",
      })
  void otherValuesAreRefused(String value, String kind) {
    assertEquals(
        kind, problem(withVector("{\"ok\": 1, \"a\": " + (value == null ? "" : value) + "}")));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"\": 1}|empty-term",
        "{\"a b\": 1}|white-space",
        "{\"a\\tb\": 1}|white-space",
        "{\"a\\u2003b\": 1}|white-space",
        "{\"a\": 1, \"a\": 2}|repeated-term",
        "{\"a\": 1, \"\\u0061\": 2}|repeated-term",
        "{\"\\ud83d\": 1}|not-utf8",
        "{\"\\ud83dx\": 1}|not-utf8",
        "{}|empty-vector",
        "[1, 2]|dense-vector",
        "7|dense-vector",
        "{\"a\": 1,}|broken-json",
        "{\"a\" 1}|broken-json",
        "{\"\\q\": 1}|broken-json",
        "{\"\\u12\": 1}|broken-json",
        "{\"a\": 2000000000, \"b\": 2000000000}|huge-total",
      })
  void badVectorsAreRefused(String vector, String kind) {
    assertEquals(kind, problem(withVector(vector)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "not json|broken-json",
        "[]|broken-json",
        "{\"id\":\"d\",\"vector\":{\"a\":1}|broken-json",
        "{\"id\":\"d\",\"vector\":{\"a\":1}} {}|broken-json",
        "{\"vector\":{\"a\":1}}|no-id",
        "{\"id\":null,\"vector\":{\"a\":1}}|no-id",
        "{\"id\":\"\",\"vector\":{\"a\":1}}|no-id",
        "{\"id\":1.5,\"vector\":{\"a\":1}}|not-an-id",
        "{\"id\":{},\"vector\":{\"a\":1}}|not-an-id",
        "{\"id\":\"a b\",\"vector\":{\"a\":1}}|bad-id",
        "{\"id\":\"a\\u0085b\",\"vector\":{\"a\":1}}|bad-id",
        "{\"id\":\"a\\nb\",\"vector\":{\"a\":1}}|bad-id",
        "{\"id\":\"d\"}|no-vector",
        "{\"id\":\"d\",\"id\":\"e\",\"vector\":{\"a\":1}}|repeated-key",
        "{\"id\":\"d\",\"vector\":{\"a\":1},\"vector\":{\"b\":1}}|repeated-key",
        "{\"id\":\"d\",\"contents\":\"\\ud83d\",\"vector\":{\"a\":1}}|not-utf8",
        "{\"id\":\"\\ud83d\",\"vector\":{\"a\":1}}|not-utf8",
      })
  void badDocumentsAreRefused(String line, String kind) {
    assertEquals(kind, problem(line));
  }

  @Test
  void malformedUtf8IsRefused() {
    for (String where :
        List.of(
            "{\"id\":\"X\",\"vector\":{\"a\":1}}",
            withVector("{\"X\": 1}"),
            "{\"id\":\"d\",\"contents\":\"X\",\"vector\":{\"a\":1}}")) {
      byte[] line = where.getBytes(StandardCharsets.UTF_8);
      for (int i = 0; i < line.length; i++) {
        line[i] = line[i] == 'X' ? (byte) 0xE9 : line[i];
      }
      assertEquals("not-utf8", refuse(line).kind, where);
    }
  }

  @Test
  void deepNestingIsNoStackOverflow() throws BadPseudoDocument {
    assertEquals(
        Map.of("a", 1),
        parse(
                "{\"id\":\"d\",\"x\":"
                    + "[".repeat(199)
                    + "]".repeat(199)
                    + ",\"vector\":{\"a\":1}}",
                Store.NONE)
            .vector);
    String deep = "[".repeat(100_000) + "]".repeat(100_000);
    assertEquals("broken-json", problem("{\"id\":\"d\",\"x\":" + deep + ",\"vector\":{\"a\":1}}"));
  }

  @Test
  void longTermsAreRefused() throws BadPseudoDocument {
    String longest = "x".repeat(255);
    assertEquals(Map.of(longest, 1), vectorOf("{\"" + longest + "\": 1}"));
    assertEquals("long-term", problem(withVector("{\"x" + longest + "\": 1}")));
    String escaped = "\\u6f22".repeat(255);
    assertEquals(Map.of("漢".repeat(255), 1), vectorOf("{\"" + escaped + "\": 1}"));
    assertEquals("long-term", problem(withVector("{\"x" + escaped + "\": 1}")));
  }

  @Test
  void aBadDocumentLeavesTheOthers() throws BadPseudoDocument {
    PseudoDocumentParser parser = parser(Store.NONE);
    add(parser, withVector("{\"a\": 1}").getBytes(StandardCharsets.UTF_8));
    assertThrows(
        BadPseudoDocument.class,
        () -> add(parser, withVector("{\"b\": 1, \"c\": 0}").getBytes(StandardCharsets.UTF_8)));
    add(parser, withVector("{\"b\": 5}").getBytes(StandardCharsets.UTF_8));
    InvertedBlock block = builder.invert(dictionary.size());
    assertEquals(2, block.documents);
    assertEquals(2, block.termIds.length);
    assertEquals(6, block.totalImpacts[0] + block.totalImpacts[1]);
  }

  @Test
  void randomDocumentsAreReadPlainAndEscaped() throws BadPseudoDocument {
    Random random = new Random(51);
    for (Doc document : RandomCollection.documents(random, 500, 100, 30, 1000)) {
      String plain = RandomCollection.line(document);
      Parsed expected = new Parsed(document.docid(), null, document.vector());
      assertEquals(expected, parse(plain, Store.NONE));
      // The same document again, by Jackson instead of the fast path.
      String other = plain.replaceFirst("\\{", "{\"title\": null, ");
      assertEquals(expected, parse(other, Store.NONE));
    }
  }
}
