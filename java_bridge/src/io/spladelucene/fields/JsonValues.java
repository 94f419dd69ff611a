package io.spladelucene.fields;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonStreamContext;
import com.fasterxml.jackson.core.JsonToken;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.LocalDate;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.NumericUtils;

/**
 * Reads the values of a document's fields from JSON. {@code splade_lucene/fields/values.py} has the
 * same rules and the same words; docs/filters.md explains them.
 */
public final class JsonValues {
  private static final int MAX_KEYWORD_BYTES = 32_766; // the longest term of Lucene's
  private static final int SHOWN = 80;
  private static final double EXACT = 0x1p53; // below it, no other integer is rounded to a double
  private static final Pattern INTEGER = Pattern.compile("-?(?:0|[1-9][0-9]*)");
  private static final Pattern NUMBER =
      Pattern.compile("-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?");
  private static final Pattern DATE =
      Pattern.compile(
          "([0-9]{4})-([0-9]{2})-([0-9]{2})"
              + "(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\\.([0-9]{1,6})0*)?)?"
              + "(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))?)?");
  private static final long SECOND = 1_000_000;
  private static final long FIRST_DAY = LocalDate.of(1, 1, 1).toEpochDay();
  private static final long LAST_DAY = LocalDate.of(9999, 12, 31).toEpochDay();

  private JsonValues() {}

  /**
   * Reads the values of a document; those of fields that the schema lacks are skipped.
   *
   * @param json at the value of the member {@code fields}; at its last token afterwards
   * @return as {@link FieldSchema#addTo} reads them; {@code null} if there is no value
   * @throws WrongValue if a value does not fit its type
   */
  public static byte[] read(JsonParser json, FieldSchema schema) throws IOException, WrongValue {
    if (json.currentToken() == JsonToken.VALUE_NULL) {
      return null;
    }
    if (json.currentToken() != JsonToken.START_OBJECT) {
      throw new WrongValue("fields is " + described(json) + ", not an object");
    }
    PackedWriter out = new PackedWriter();
    Set<String> seen = new HashSet<>();
    JsonStreamContext fields = json.getParsingContext();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      JsonToken token = json.nextToken();
      int number = schema.numberOf(name);
      if (number >= 0 && !seen.add(name)) {
        throw new WrongValue(shown(name) + " occurs twice");
      }
      if (number < 0 || token == JsonToken.VALUE_NULL) {
        json.skipChildren();
        continue;
      }
      try {
        out.writeRaw(values(json, name, number, schema.type(number)));
      } catch (WrongValue wrong) {
        if (!schema.isInferred(number)) {
          throw wrong;
        }
        while (json.getParsingContext() != fields) { // behind the value
          json.nextToken();
        }
      }
    }
    return out.size() == 0 ? null : out.toByteArray();
  }

  /** The packed values of a field, and the parser is at their last token. */
  private static byte[] values(JsonParser json, String name, int number, ValueType type)
      throws IOException, WrongValue {
    PackedWriter out = new PackedWriter();
    if (type == ValueType.KEYWORDS && json.currentToken() == JsonToken.START_ARRAY) {
      for (int place = 0; json.nextToken() != JsonToken.END_ARRAY; place++) {
        out.writeInt(number);
        out.writeBytes(keyword(json, name, place, "a string"));
      }
    } else {
      add(out, number, name, type, json);
    }
    return out.toByteArray();
  }

  private static void add(
      PackedWriter out, int number, String name, ValueType type, JsonParser json)
      throws IOException, WrongValue {
    out.writeInt(number);
    switch (type) {
      case KEYWORD -> out.writeBytes(keyword(json, name, -1, "a string"));
      case KEYWORDS -> out.writeBytes(keyword(json, name, -1, "a list of strings"));
      case INTEGER -> out.writeLong(integer(json, name));
      case NUMBER -> out.writeLong(NumericUtils.doubleToSortableLong(number(json, name)));
      case DATE -> out.writeLong(date(json, name));
      case BOOLEAN -> out.writeLong(isTrue(json, name) ? 1 : 0);
    }
  }

  /** A keyword; the place is that in the list that has it, or -1. */
  private static BytesRef keyword(JsonParser json, String name, int place, String expected)
      throws IOException, WrongValue {
    String text =
        switch (json.currentToken()) {
          case VALUE_STRING, VALUE_TRUE, VALUE_FALSE -> json.getText();
          case VALUE_NUMBER_INT -> written(json);
          default -> throw wrong(json, placed(name, place), expected);
        };
    ByteBuffer bytes;
    try {
      bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
    } catch (CharacterCodingException e) {
      throw new WrongValue(shown(placed(name, place)) + " has half of a surrogate pair");
    }
    if (bytes.remaining() > MAX_KEYWORD_BYTES) {
      throw new WrongValue(shown(placed(name, place)) + " is longer than 32,766 bytes");
    }
    return new BytesRef(bytes.array(), bytes.arrayOffset(), bytes.remaining());
  }

  private static String placed(String name, int place) {
    return place < 0 ? name : name + "[" + place + "]";
  }

  private static long integer(JsonParser json, String name) throws IOException, WrongValue {
    String text = json.getText();
    boolean isInteger =
        switch (json.currentToken()) {
          case VALUE_NUMBER_INT -> true;
          case VALUE_STRING -> INTEGER.matcher(text).matches();
          default -> false;
        };
    if (isInteger) {
      BigInteger value = text.length() > 20 ? null : new BigInteger(text);
      if (value != null && value.bitLength() < Long.SIZE) {
        return value.longValue();
      }
    } else if (json.currentToken() == JsonToken.VALUE_NUMBER_FLOAT) {
      double value = Double.parseDouble(text);
      if (value == Math.rint(value) && Math.abs(value) < EXACT) {
        return (long) value;
      }
    }
    throw wrong(json, name, "an integer of 64 bits");
  }

  private static double number(JsonParser json, String name) throws IOException, WrongValue {
    String text = json.getText();
    boolean isNumber =
        switch (json.currentToken()) {
          case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> true;
          case VALUE_STRING -> NUMBER.matcher(text).matches();
          default -> false;
        };
    if (!isNumber) {
      throw wrong(json, name, "a number");
    }
    double value = Double.parseDouble(text);
    boolean isExact =
        !INTEGER.matcher(text).matches()
            || Math.abs(value) < EXACT
            || Double.isFinite(value) && new BigDecimal(value).compareTo(new BigDecimal(text)) == 0;
    if (!isExact || Double.isInfinite(value)) {
      throw wrong(json, name, "a number that double precision holds");
    }
    return value == 0 ? 0 : value; // not -0
  }

  private static boolean isTrue(JsonParser json, String name) throws IOException, WrongValue {
    return switch (json.currentToken()) {
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      case VALUE_STRING -> {
        String text = json.getText().toLowerCase(Locale.ROOT); // equalsIgnoreCase takes ſ for s
        if (text.equals("true") || text.equals("false")) {
          yield text.equals("true");
        }
        throw wrong(json, name, "true or false");
      }
      default -> throw wrong(json, name, "true or false");
    };
  }

  private static long date(JsonParser json, String name) throws IOException, WrongValue {
    if (json.currentToken() == JsonToken.VALUE_STRING) {
      Matcher parts = DATE.matcher(json.getText());
      if (parts.matches()) {
        try {
          return micros(parts);
        } catch (DateTimeException e) {
          // no such day or time
        }
      }
    }
    throw wrong(json, name, "a date such as 2019-03-01 or 2019-03-01T12:30:00Z");
  }

  private static long micros(Matcher parts) {
    long day =
        LocalDate.of(part(parts, 1, 9999), part(parts, 2, 12), part(parts, 3, 31)).toEpochDay();
    long seconds =
        (day * 24 + part(parts, 4, 23)) * 3600 + part(parts, 5, 59) * 60L + part(parts, 6, 59);
    if (parts.group(8) != null) {
      long offset = part(parts, 9, 23) * 3600L + part(parts, 10, 59) * 60L;
      seconds -= parts.group(8).equals("-") ? -offset : offset;
    }
    if (seconds < FIRST_DAY * 86_400 || seconds >= (LAST_DAY + 1) * 86_400) {
      throw new DateTimeException("not in the years 1 to 9999");
    }
    String fraction = parts.group(7) == null ? "" : parts.group(7);
    return seconds * SECOND + Long.parseLong((fraction + "000000").substring(0, 6));
  }

  private static int part(Matcher parts, int group, int most) {
    int value = parts.group(group) == null ? 0 : Integer.parseInt(parts.group(group));
    if (value > most) {
      throw new DateTimeException("no such day or time");
    }
    return value;
  }

  private static WrongValue wrong(JsonParser json, String name, String expected)
      throws IOException {
    return new WrongValue(shown(name) + " is " + described(json) + ", not " + expected);
  }

  private static String described(JsonParser json) throws IOException {
    return switch (json.currentToken()) {
      case START_ARRAY -> "a list";
      case START_OBJECT -> "an object";
      case VALUE_STRING -> '"' + shown(json.getText()) + '"';
      case VALUE_NUMBER_INT -> shown(written(json));
      default -> shown(json.getText());
    };
  }

  /** An integer as it is written; Python reads -0 as 0. */
  private static String written(JsonParser json) throws IOException {
    return json.getText().equals("-0") ? "0" : json.getText();
  }

  private static String shown(String text) {
    return text.codePointCount(0, text.length()) <= SHOWN
        ? text
        : text.substring(0, text.offsetByCodePoints(0, SHOWN)) + "…";
  }
}
