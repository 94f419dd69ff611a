package io.spladelucene.index;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Checks that a line is one JSON object (RFC 8259) within this package's limits, and says where it
 * is not. Jackson and Python's json module differ in what they accept and in their words, so both
 * sides have this check: the other one is {@code splade_lucene/pseudo_documents/syntax.py}.
 */
final class JsonSyntax {
  /** The most levels of arrays and objects. */
  static final int MAX_NESTING = 200;

  /** The most digits in a row in a number. */
  static final int MAX_DIGITS = 1000;

  private enum Expected {
    VALUE,
    VALUE_OR_CLOSE,
    KEY,
    KEY_OR_CLOSE,
    COLON,
    COMMA_OR_CLOSE,
    END
  }

  private static final String[] CONSTANTS = {"NaN", "Infinity", "-Infinity"};
  private static final String[] LITERALS = {"true", "false", "null"};
  private static final String CUT = "the line ends too early";

  private final byte[] line;
  private final int start;
  private final int end;
  private int at;
  private Expected expected = Expected.VALUE;
  private final byte[] closings = new byte[MAX_NESTING];
  private int depth = 0;

  private JsonSyntax(byte[] line, int start, int end) {
    this.line = line;
    this.start = start;
    this.end = end;
    at = start;
  }

  /**
   * What is wrong with the line in bytes[from, to), which must be UTF-8; {@code null} if nothing
   * is.
   */
  static String problemOf(byte[] bytes, int from, int to) {
    return new JsonSyntax(bytes, from, to).problem();
  }

  private String problem() {
    skipSpace();
    boolean isObject = at < end && line[at] == '{';
    while (at < end) {
      String problem = step();
      if (problem != null) {
        return problem;
      }
      skipSpace();
    }
    if (expected != Expected.END) {
      return CUT;
    }
    return isObject ? null : "not an object";
  }

  /** Reads the next token; returns what is wrong with it, or {@code null}. */
  private String step() {
    byte c = line[at];
    switch (expected) {
      case COLON:
        return c == ':' ? goOn(Expected.VALUE) : invalid();
      case COMMA_OR_CLOSE:
        if (c == ',') {
          return goOn(closings[depth - 1] == '}' ? Expected.KEY : Expected.VALUE);
        }
        return close(c);
      case KEY, KEY_OR_CLOSE:
        if (c == '"') {
          return string(Expected.COLON);
        }
        return expected == Expected.KEY_OR_CLOSE ? close(c) : invalid();
      case END:
        return "more text after the object, at column " + column();
      default:
        return value(c);
    }
  }

  private String value(byte c) {
    switch (c) {
      case '{':
        return open('}', Expected.KEY_OR_CLOSE);
      case '[':
        return open(']', Expected.VALUE_OR_CLOSE);
      case ']':
        return expected == Expected.VALUE_OR_CLOSE ? close(c) : invalid();
      case '"':
        return string(afterValue());
      default:
        return other(c);
    }
  }

  private String other(byte c) {
    if (isDigit(c == '-' ? at + 1 : at)) {
      return number(c);
    }
    for (String constant : CONSTANTS) {
      if (hasHere(constant)) {
        return "NaN or Infinity at column " + column();
      }
    }
    for (String literal : LITERALS) {
      if (hasHere(literal)) {
        at += literal.length();
        expected = afterValue();
        return null;
      }
    }
    return invalid();
  }

  private String number(byte c) {
    int from = at;
    int integer = c == '-' ? at + 1 : at;
    int longest = digits(integer, line[integer] == '0' ? integer + 1 : end);
    if (at < end && line[at] == '.' && isDigit(at + 1)) {
      longest = Math.max(longest, digits(at + 1, end));
    }
    if (at < end && (line[at] == 'e' || line[at] == 'E')) {
      int exponent = at + 1;
      if (exponent < end && (line[exponent] == '+' || line[exponent] == '-')) {
        exponent++;
      }
      if (isDigit(exponent)) {
        longest = Math.max(longest, digits(exponent, end));
      }
    }
    if (longest > MAX_DIGITS) {
      at = from;
      return "a number of more than 1,000 digits at column " + column();
    }
    expected = afterValue();
    return null;
  }

  /** Moves behind the digits from a position, but not beyond a limit; returns their number. */
  private int digits(int from, int limit) {
    at = from;
    while (at < limit && isDigit(at)) {
      at++;
    }
    return at - from;
  }

  private boolean isDigit(int position) {
    return position < end && line[position] >= '0' && line[position] <= '9';
  }

  private String string(Expected next) {
    at++;
    while (at < end && line[at] != '"') {
      byte c = line[at];
      if (c == '\\') {
        int length = escapeLength();
        if (length < 0) {
          return invalid();
        }
        at += length;
      } else if (c >= 0 && c < 0x20) {
        return invalid();
      } else {
        at++;
      }
    }
    return at < end ? goOn(next) : CUT;
  }

  /** The length of the escape that starts here; -1 if it is none. */
  private int escapeLength() {
    if (at + 1 < end && "\"\\/bfnrt".indexOf(line[at + 1]) >= 0) {
      return 2;
    }
    if (at + 6 > end || line[at + 1] != 'u') {
      return -1;
    }
    for (int i = at + 2; i < at + 6; i++) {
      if (Character.digit(line[i], 16) < 0) {
        return -1;
      }
    }
    return 6;
  }

  private String open(char closing, Expected next) {
    if (depth == MAX_NESTING) {
      return "nested more than 200 levels deep at column " + column();
    }
    closings[depth++] = (byte) closing;
    return goOn(next);
  }

  private String close(byte c) {
    if (depth == 0 || c != closings[depth - 1]) {
      return invalid();
    }
    depth--;
    return goOn(afterValue());
  }

  private String goOn(Expected next) {
    at++;
    expected = next;
    return null;
  }

  private Expected afterValue() {
    return depth == 0 ? Expected.END : Expected.COMMA_OR_CLOSE;
  }

  private boolean hasHere(String word) {
    byte[] bytes = word.getBytes(StandardCharsets.US_ASCII);
    return at + bytes.length <= end
        && Arrays.equals(line, at, at + bytes.length, bytes, 0, bytes.length);
  }

  private void skipSpace() {
    while (at < end
        && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r' || line[at] == '\n')) {
      at++;
    }
  }

  private String invalid() {
    return "invalid JSON at column " + column();
  }

  /** The number of the character here, from 1. */
  private int column() {
    String before = new String(line, start, at - start, StandardCharsets.UTF_8);
    return before.codePointCount(0, before.length()) + 1;
  }
}
