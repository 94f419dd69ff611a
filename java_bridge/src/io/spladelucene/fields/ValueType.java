package io.spladelucene.fields;

import java.util.Map;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.index.DocValuesType;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.IndexOptions;

/**
 * The type of a field's values.
 *
 * <p>Keywords are terms without frequencies, and sorted set doc values. All other values are longs:
 * points and sorted numeric doc values, as Lucene's LongField has them. An attribute of the field
 * in each segment names the type.
 */
public enum ValueType {
  /** One string. */
  KEYWORD("keyword"),
  /** Any number of strings. */
  KEYWORDS("keyword[]"),
  /** An integer of 64 bits. */
  INTEGER("integer"),
  /** A number in double precision, as the long that NumericUtils makes of it. */
  NUMBER("number"),
  /** An instant, in microseconds since 1970 in UTC. */
  DATE("date"),
  /** 0 or 1. */
  BOOLEAN("boolean");

  private static final String ATTRIBUTE = "splade_lucene.type";

  /** The type as Python writes it. */
  public final String text;

  /** How a value is indexed. */
  final FieldType indexed = new FieldType();

  ValueType(String text) {
    this.text = text;
    if (isKeyword()) {
      indexed.setTokenized(false);
      indexed.setOmitNorms(true);
      indexed.setIndexOptions(IndexOptions.DOCS);
      indexed.setDocValuesType(DocValuesType.SORTED_SET);
    } else {
      indexed.setDimensions(1, Long.BYTES);
      indexed.setDocValuesType(DocValuesType.SORTED_NUMERIC);
    }
    indexed.putAttribute(ATTRIBUTE, text);
    indexed.freeze();
  }

  /** Whether values are strings; otherwise they are longs. */
  public final boolean isKeyword() {
    return text.startsWith("keyword");
  }

  /** The type with a {@link #text}. */
  public static ValueType of(String text) {
    for (ValueType type : values()) {
      if (type.text.equals(text)) {
        return type;
      }
    }
    throw new IllegalArgumentException("unknown type of a field: " + text);
  }

  /** The type of a field of an index; {@code null} if this package has not written it. */
  static ValueType of(FieldInfo field) {
    Map<String, String> attributes = field.attributes();
    String text = attributes.get(ATTRIBUTE);
    return text == null ? null : of(text);
  }
}
