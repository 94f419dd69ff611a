package io.spladelucene.index;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonStreamContext;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import io.spladelucene.fields.FieldSchema;
import io.spladelucene.fields.JsonValues;
import io.spladelucene.fields.WrongValue;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/**
 * A document as any line may write it: keys in any order, other keys, escapes. Its constructor
 * reports the first problem in the order of the table of rules, which docs/formats.md has, not in
 * the order of the line. {@code splade_lucene/pseudo_documents/validation.py} has the same rules.
 */
final class JsonDocument {
  /** The longest part of a value in a message, in characters. */
  private static final int SHOWN = 80;

  /** The longest id: the longest term of Lucene's, in bytes. */
  private static final int MAX_ID_BYTES = 32_766;

  // JsonSyntax has the limits. A table of names that all parsers share would cost time.
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNumberLength(Integer.MAX_VALUE)
                  .maxStringLength(Integer.MAX_VALUE)
                  .maxNameLength(Integer.MAX_VALUE)
                  .build())
          .build();

  /** The id, in UTF-8. */
  final byte[] id;

  /** The text; {@code null} if there is none. */
  final String contents;

  /** The values of its fields, packed; {@code null} if there are none. */
  byte[] values;

  /** The number of terms. */
  int size = 0;

  /** The terms, in UTF-8; the first {@link #size} count. */
  byte[][] terms = new byte[64][];

  /** The impact of each term. */
  int[] impacts = new int[64];

  private final FieldSchema schema;
  private String idText;
  private String contentsText;
  private boolean hasVector = false;
  private BadPseudoDocument repeatedKey;
  private BadPseudoDocument badId = new BadPseudoDocument("no-id", "");
  private BadPseudoDocument badVector;
  private BadPseudoDocument badFields;

  /**
   * Reads the line in bytes[from, to).
   *
   * @param schema the fields whose values are read
   * @throws BadPseudoDocument if it is no document that can be indexed
   */
  JsonDocument(byte[] bytes, int from, int to, FieldSchema schema) throws BadPseudoDocument {
    this.schema = schema;
    String line = TermDictionary.decode(bytes, from, to);
    String problem = JsonSyntax.problemOf(bytes, from, to);
    if (problem != null) {
      throw new BadPseudoDocument("broken-json", problem);
    }
    try (JsonParser json = JSON.createParser(line)) {
      read(json);
    } catch (IOException e) {
      throw new IllegalStateException("a line of valid JSON cannot be parsed", e);
    }
    throwIfBad(repeatedKey);
    throwIfBad(badId);
    id = checkId(idText);
    if (!hasVector) {
      throw new BadPseudoDocument("no-vector", shown(idText));
    }
    throwIfBad(badVector);
    if (size == 0) {
      throw new BadPseudoDocument("empty-vector", shown(idText));
    }
    long total = 0;
    for (int i = 0; i < size; i++) {
      total += impacts[i];
    }
    if (total > Integer.MAX_VALUE) {
      throw new BadPseudoDocument("huge-total", "");
    }
    contents = contentsText;
    if (contents != null) {
      TermDictionary.encode(contents);
    }
    throwIfBad(badFields);
  }

  private static void throwIfBad(BadPseudoDocument bad) throws BadPseudoDocument {
    if (bad != null) {
      throw bad;
    }
  }

  private void read(JsonParser json) throws IOException {
    Set<String> keys = new HashSet<>();
    json.nextToken();
    JsonStreamContext line = json.getParsingContext();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      if (!keys.add(key) && repeatedKey == null) {
        repeatedKey = new BadPseudoDocument("repeated-key", shown(key));
      }
      JsonToken value = json.nextToken();
      switch (key) {
        case "id" -> readId(json, value);
        case "contents" -> {
          contentsText = value == JsonToken.VALUE_STRING ? json.getText() : null;
          json.skipChildren();
        }
        case "vector" -> readVector(json, value);
        case "fields" -> readFields(json, line);
        default -> json.skipChildren();
      }
    }
  }

  private void readId(JsonParser json, JsonToken value) throws IOException {
    badId = null;
    if (value == JsonToken.VALUE_NULL) {
      badId = new BadPseudoDocument("no-id", "");
    } else if (value == JsonToken.VALUE_STRING) {
      idText = json.getText();
    } else if (value == JsonToken.VALUE_NUMBER_INT) {
      idText = integer(json);
    } else {
      badId = new BadPseudoDocument("not-an-id", described(value));
      json.skipChildren();
    }
  }

  private void readVector(JsonParser json, JsonToken value) throws IOException {
    hasVector = true;
    if (value != JsonToken.START_OBJECT) {
      badVector = new BadPseudoDocument("dense-vector", described(value));
      json.skipChildren();
      return;
    }
    Set<String> names = new HashSet<>();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String term = json.currentName();
      JsonToken impact = json.nextToken();
      if (badVector == null) {
        try {
          add(term, impact, json);
          if (!names.add(term)) {
            throw new BadPseudoDocument("repeated-term", shown(term));
          }
        } catch (BadPseudoDocument bad) {
          badVector = bad;
        }
      }
      json.skipChildren();
    }
  }

  private void readFields(JsonParser json, JsonStreamContext line) throws IOException {
    badFields = null;
    values = null;
    if (schema.isEmpty()) {
      json.skipChildren();
      return;
    }
    try {
      values = JsonValues.read(json, schema);
    } catch (WrongValue wrong) {
      badFields = new BadPseudoDocument("bad-field", wrong.getMessage());
      while (json.getParsingContext() != line) { // behind the object
        json.nextToken();
      }
    }
  }

  private void add(String term, JsonToken value, JsonParser json)
      throws IOException, BadPseudoDocument {
    byte[] bytes = TermDictionary.encode(term);
    TermDictionary.check(term);
    if (value == JsonToken.VALUE_NUMBER_FLOAT) {
      throw badImpact("float-impact", term, shown(json.getText()));
    }
    if (value != JsonToken.VALUE_NUMBER_INT) {
      boolean isString = value == JsonToken.VALUE_STRING;
      throw badImpact(
          "not-a-number", term, isString ? '"' + shown(json.getText()) + '"' : described(value));
    }
    String text = integer(json);
    if (text.equals("0") || text.startsWith("-")) {
      throw badImpact("not-positive", term, shown(text));
    }
    if (json.getNumberType() != JsonParser.NumberType.INT) {
      throw badImpact("huge-impact", term, shown(text));
    }
    if (size == impacts.length) {
      terms = Arrays.copyOf(terms, size * 2);
      impacts = Arrays.copyOf(impacts, size * 2);
    }
    terms[size] = bytes;
    impacts[size++] = json.getIntValue();
  }

  private static BadPseudoDocument badImpact(String kind, String term, String value) {
    return new BadPseudoDocument(kind, shown(term) + ": " + value);
  }

  /** An integer as its value is written, without the sign of -0. */
  private static String integer(JsonParser json) throws IOException {
    return json.getText().equals("-0") ? "0" : json.getText();
  }

  private static String described(JsonToken value) {
    return switch (value) {
      case START_ARRAY -> "a list";
      case START_OBJECT -> "an object";
      case VALUE_STRING -> "a string";
      case VALUE_NUMBER_INT -> "an integer";
      case VALUE_NUMBER_FLOAT -> "a decimal number";
      default -> value.asString();
    };
  }

  /**
   * The packed values of a member {@code fields} in bytes[from, to), which is an object of valid
   * JSON; {@code null} if it has none.
   *
   * @throws WrongValue if a value does not fit
   */
  static byte[] valuesOf(byte[] bytes, int from, int to, FieldSchema schema)
      throws BadPseudoDocument, WrongValue {
    try (JsonParser json = JSON.createParser(TermDictionary.decode(bytes, from, to))) {
      json.nextToken();
      return JsonValues.read(json, schema);
    } catch (IOException e) {
      throw new IllegalStateException("valid JSON cannot be parsed", e);
    }
  }

  /** The value of the string literal in bytes[from, to), which is valid JSON. */
  static String textOf(byte[] bytes, int from, int to) {
    try (JsonParser json = JSON.createParser(bytes, from, to - from)) {
      json.nextToken();
      return json.getText();
    } catch (IOException e) {
      throw new IllegalStateException("valid JSON cannot be parsed", e);
    }
  }

  /** A value as a message shows it: a long one without its end. */
  static String shown(String text) {
    return text.codePointCount(0, text.length()) <= SHOWN
        ? text
        : text.substring(0, text.offsetByCodePoints(0, SHOWN)) + "…";
  }

  /** Checks an id; returns its UTF-8. */
  static byte[] checkId(String id) throws BadPseudoDocument {
    if (id.isEmpty()) {
      throw new BadPseudoDocument("no-id", "");
    }
    byte[] bytes = TermDictionary.encode(id);
    if (id.codePoints().anyMatch(JsonDocument::breaksRunFiles)) {
      throw new BadPseudoDocument("bad-id", shown(id));
    }
    if (bytes.length > MAX_ID_BYTES) {
      throw new BadPseudoDocument("long-id", shown(id));
    }
    return bytes;
  }

  /** Whether any reader of run files may take a character for white space between columns. */
  private static boolean breaksRunFiles(int c) {
    return c < 0x20
        || c == 0x7F
        || c == 0x85
        || Character.isWhitespace(c)
        || Character.isSpaceChar(c);
  }
}
