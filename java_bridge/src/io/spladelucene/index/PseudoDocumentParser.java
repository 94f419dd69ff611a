package io.spladelucene.index;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.spladelucene.fields.FieldSchema;
import io.spladelucene.fields.WrongValue;
import io.spladelucene.postings.InvertedBlock;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * Parses the lines of Anserini's JsonVectorCollection, {@code {"id": …, "contents": …, "vector":
 * {term: impact}}}, into an {@link InvertedBlock.Builder}.
 *
 * <p>Nearly all lines have these keys only, plain terms and positive integers. {@link #scan} reads
 * such lines directly from the bytes. It leaves every other line, valid or not, to {@link
 * JsonDocument}, which says what is wrong. Both accept the same documents.
 */
final class PseudoDocumentParser {
  private static final ObjectMapper TREE =
      new ObjectMapper(
          JsonFactory.builder()
              .streamReadConstraints(
                  StreamReadConstraints.builder()
                      .maxNumberLength(Integer.MAX_VALUE)
                      .maxStringLength(Integer.MAX_VALUE)
                      .maxNameLength(Integer.MAX_VALUE)
                      .build())
              .build());

  /** What the stored field {@code raw} has. */
  enum Store {
    /** There is no such field. */
    NONE,
    /** The docid and the text: {@code {"id": …, "contents": …}}. */
    TEXT,
    /** The whole JSON object, as Anserini's {@code -storeRaw} writes it. */
    RAW
  }

  private static final int MAX_PLAIN_NESTING = 50; // levels of fields; far below JsonSyntax's
  private static final String ESCAPES = "\"\\/bfnrt";
  private static final String ESCAPED = "\"\\/\b\f\n\r\t";

  private final TermDictionary.Cache terms;
  private final Store store;
  private final FieldSchema schema;
  private final TextTerms texts; // null: texts are not indexed
  private byte[] line;
  private int start;
  private int at;
  private int end;
  private long document = 0; // the number of vectors so far
  private final byte[] unescaped = new byte[4 * TermDictionary.MAX_TERM_CHARS];

  /**
   * A parser for one thread.
   *
   * @param schema the fields whose values are read
   * @param texts splits texts into terms; {@code null} if texts are not indexed
   */
  PseudoDocumentParser(
      TermDictionary.Cache terms, Store store, FieldSchema schema, TextTerms texts) {
    this.terms = terms;
    this.store = store;
    this.schema = schema;
    this.texts = texts;
  }

  /**
   * Adds the document of the line in bytes[from, to) to a builder.
   *
   * @throws BadPseudoDocument if the line is no document that can be indexed; the builder is then
   *     as it was before
   */
  void add(byte[] bytes, int from, int to, InvertedBlock.Builder out) throws BadPseudoDocument {
    line = bytes;
    start = from;
    end = to;
    at = from;
    int mark = out.mark();
    if (!isPlain(out)) {
      out.rollback(mark);
      JsonDocument read = new JsonDocument(line, from, to, schema);
      document++;
      for (int i = 0; i < read.size; i++) {
        byte[] term = read.terms[i];
        int hash = TermDictionary.Cache.hash(term, 0, term.length);
        out.addPosting(terms.idOf(term, 0, term.length, hash, document), read.impacts[i]);
      }
      if (texts != null && read.contents != null) {
        texts.add(read.contents, out);
      }
      out.endDocument(read.id, 0, read.id.length, storedField(read), read.values);
    }
  }

  // ---- plain lines ----

  /** Reads a plain line and adds its document; false if the line is not plain, or is bad. */
  private boolean isPlain(InvertedBlock.Builder out) {
    try {
      return scan(out);
    } catch (BadPseudoDocument | WrongValue bad) {
      return false; // JsonDocument says which problem is the first
    }
  }

  private boolean scan(InvertedBlock.Builder out) throws BadPseudoDocument, WrongValue {
    int idFrom = -1;
    int idTo = -1;
    int contentsFrom = -1;
    int contentsTo = -1;
    boolean vector = false;
    int fieldsFrom = -1;
    int fieldsTo = -1;
    if (!next('{')) {
      return false;
    }
    do {
      int keyFrom = plainString();
      int keyTo = at - 1;
      if (keyFrom < 0 || !next(':')) {
        return false;
      }
      if (isKey(keyFrom, keyTo, "id") && idFrom < 0) {
        idFrom = plainString();
        idTo = at - 1;
        if (idFrom < 0) {
          return false;
        }
      } else if (isKey(keyFrom, keyTo, "contents") && contentsFrom < 0) {
        contentsFrom = stringLiteral();
        contentsTo = at - 1;
        if (contentsFrom < 0) {
          return false;
        }
      } else if (isKey(keyFrom, keyTo, "vector") && !vector) {
        vector = true;
        if (!scanVector(out)) {
          return false;
        }
      } else if (isKey(keyFrom, keyTo, "fields") && fieldsFrom < 0 && !schema.isEmpty()) {
        skipSpace();
        fieldsFrom = at;
        if (!skipObject()) {
          return false;
        }
        fieldsTo = at;
      } else {
        return false;
      }
    } while (next(','));
    if (!next('}') || idFrom < 0 || !vector || out.pendingPostings() == 0) {
      return false;
    }
    skipSpace();
    if (at != end) {
      return false;
    }
    JsonDocument.checkId(TermDictionary.decode(line, idFrom, idTo));
    if (out.isTooHeavy()) {
      return false;
    }
    byte[] values = null;
    if (fieldsFrom >= 0) {
      if (JsonSyntax.problemOf(line, fieldsFrom, fieldsTo) != null) {
        return false;
      }
      values = JsonDocument.valuesOf(line, fieldsFrom, fieldsTo, schema);
    }
    byte[] stored = storedField(idFrom, idTo, contentsFrom, contentsTo);
    if (texts != null && contentsFrom >= 0) {
      texts.add(JsonDocument.textOf(line, contentsFrom - 1, contentsTo + 1), out);
    }
    out.endDocument(line, idFrom, idTo, stored, values);
    return true;
  }

  /** Moves behind an object, whose syntax is not checked; false if it does not end, or is deep. */
  private boolean skipObject() {
    int depth = 0;
    boolean isString = false;
    while (at < end) {
      byte b = line[at++];
      if (isString) {
        isString = b != '"';
        at += b == '\\' ? 1 : 0;
      } else if (b == '"') {
        isString = true;
      } else if (b == '{') {
        depth++;
      } else if (b == '}') {
        depth--;
      }
      if (depth == 0 || depth > MAX_PLAIN_NESTING) {
        return depth == 0 && b == '}';
      }
    }
    return false;
  }

  private boolean scanVector(InvertedBlock.Builder out) throws BadPseudoDocument {
    document++;
    if (!next('{')) {
      return false;
    }
    do {
      skipSpace();
      if (at >= end || line[at] != '"') {
        return false;
      }
      int from = ++at;
      int hash = 0;
      byte b = 0;
      while (at < end && (b = line[at]) != '"' && b != '\\' && (b < 0 || b >= 0x20)) {
        hash = 31 * hash + b;
        at++;
      }
      if (at >= end) {
        return false;
      }
      byte[] term = line;
      int to = at;
      if (b == '\\') {
        term = unescaped;
        to = unescape(from);
        from = 0;
        hash = TermDictionary.Cache.hash(term, 0, Math.max(0, to));
      }
      if (to < 0 || line[at++] != '"' || !next(':')) {
        return false;
      }
      skipSpace();
      int impact = 0;
      int digits = at;
      while (at < end && line[at] >= '0' && line[at] <= '9' && at - digits < 9) {
        impact = impact * 10 + (line[at++] - '0');
      }
      if (at == digits
          || line[digits] == '0'
          || at == end
          || (line[at] != ',' && line[at] != '}' && line[at] != ' ')) {
        return false;
      }
      out.addPosting(terms.idOf(term, from, to, hash, document), impact);
    } while (next(','));
    return next('}');
  }

  private void skipSpace() {
    while (at < end && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r')) {
      at++;
    }
  }

  private boolean next(char expected) {
    skipSpace();
    if (at < end && line[at] == expected) {
      at++;
      return true;
    }
    return false;
  }

  /**
   * Reads a string without escapes and its closing quote; returns where its content starts, or -1.
   */
  private int plainString() {
    if (!next('"')) {
      return -1;
    }
    int from = at;
    while (at < end) {
      byte b = line[at++];
      if (b == '"') {
        return from;
      }
      if (b == '\\' || (b >= 0 && b < 0x20)) {
        return -1;
      }
    }
    return -1;
  }

  /**
   * Reads a string that may have escapes and checks them; returns where its content starts, or -1.
   */
  private int stringLiteral() throws BadPseudoDocument {
    if (!next('"')) {
      return -1;
    }
    int from = at;
    boolean ascii = true;
    while (at < end) {
      byte b = line[at++];
      if (b == '"') {
        if (!ascii) {
          TermDictionary.decode(line, from, at - 1);
        }
        return from;
      }
      if (b < 0) {
        ascii = false;
      } else if (b < 0x20) {
        return -1;
      } else if (b == '\\' && !escape()) {
        return -1;
      }
    }
    return -1;
  }

  /** Reads what follows a backslash; false if {@link JsonDocument} must decide about it. */
  private boolean escape() {
    return at < end && (line[at] == 'u' ? hexEscape() >= 0 : ESCAPES.indexOf(line[at++]) >= 0);
  }

  /** Reads {@code uXXXX}; returns its character, or -1 if it is broken or a surrogate. */
  private int hexEscape() {
    if (at + 5 > end) {
      return -1;
    }
    int value = 0;
    for (int i = 1; i <= 4; i++) {
      int digit = Character.digit(line[at + i], 16);
      if (digit < 0) {
        return -1;
      }
      value = value << 4 | digit;
    }
    at += 5;
    return Character.isSurrogate((char) value) ? -1 : value;
  }

  /**
   * Reads a term with escapes up to its closing quote and writes its UTF-8 to {@link #unescaped};
   * returns its length, or -1 if {@link JsonDocument} must decide about it.
   */
  private int unescape(int from) {
    int length = 0;
    for (at = from; at < end && line[at] != '"'; ) {
      if (length + 3 > unescaped.length || (line[at] >= 0 && line[at] < 0x20)) {
        return -1;
      }
      if (line[at] != '\\') {
        unescaped[length++] = line[at++];
        continue;
      }
      at++;
      int character;
      if (at < end && line[at] == 'u') {
        character = hexEscape();
      } else {
        int which = at < end ? ESCAPES.indexOf(line[at++]) : -1;
        character = which < 0 ? -1 : ESCAPED.charAt(which);
      }
      if (character < 0) {
        return -1;
      } else if (character < 0x80) {
        unescaped[length++] = (byte) character;
      } else if (character < 0x800) {
        unescaped[length++] = (byte) (0xC0 | character >> 6);
        unescaped[length++] = (byte) (0x80 | character & 0x3F);
      } else {
        unescaped[length++] = (byte) (0xE0 | character >> 12);
        unescaped[length++] = (byte) (0x80 | character >> 6 & 0x3F);
        unescaped[length++] = (byte) (0x80 | character & 0x3F);
      }
    }
    return at < end ? length : -1;
  }

  private boolean isKey(int from, int to, String key) {
    if (to - from != key.length()) {
      return false;
    }
    for (int i = from; i < to; i++) {
      if (line[i] != key.charAt(i - from)) {
        return false;
      }
    }
    return true;
  }

  private byte[] storedField(int idFrom, int idTo, int contentsFrom, int contentsTo) {
    if (store == Store.RAW) {
      return rawOf();
    }
    if (store == Store.NONE || contentsFrom < 0) {
      return null;
    }
    byte[] head = "{\"id\":\"".getBytes(StandardCharsets.UTF_8);
    byte[] middle = "\",\"contents\":\"".getBytes(StandardCharsets.UTF_8);
    byte[] tail = "\"}".getBytes(StandardCharsets.UTF_8);
    int idLength = idTo - idFrom;
    int contentsLength = contentsTo - contentsFrom;
    byte[] field = new byte[head.length + idLength + middle.length + contentsLength + tail.length];
    System.arraycopy(head, 0, field, 0, head.length);
    int position = head.length;
    System.arraycopy(line, idFrom, field, position, idLength);
    position += idLength;
    System.arraycopy(middle, 0, field, position, middle.length);
    position += middle.length;
    System.arraycopy(line, contentsFrom, field, position, contentsLength);
    position += contentsLength;
    System.arraycopy(tail, 0, field, position, tail.length);
    return field;
  }

  // ---- all other lines ----

  private byte[] storedField(JsonDocument read) {
    if (store == Store.RAW) {
      return rawOf();
    }
    if (store == Store.NONE || read.contents == null) {
      return null;
    }
    String id = new String(read.id, StandardCharsets.UTF_8);
    JsonStringEncoder encoder = JsonStringEncoder.getInstance();
    String text =
        "{\"id\":\""
            + new String(encoder.quoteAsString(id))
            + "\",\"contents\":\""
            + new String(encoder.quoteAsString(read.contents))
            + "\"}";
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private byte[] rawOf() {
    try {
      return TREE.readTree(line, start, end - start)
          .toPrettyString()
          .getBytes(StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new IllegalStateException("a valid line could not be parsed again", e);
    }
  }
}
