package io.spladelucene.fields;

import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.NumericUtils;

/** The fields that documents may have, numbered from 0, and how their values are indexed. */
public final class FieldSchema {
  /** No fields. */
  public static final FieldSchema NONE = new FieldSchema(List.of(), List.of(), List.of());

  private final List<String> names;
  private final List<ValueType> types;
  private final List<Boolean> inferred;
  private final Map<String, Integer> numbers = new HashMap<>();

  private FieldSchema(List<String> names, List<ValueType> types, List<Boolean> inferred) {
    this.names = names;
    this.types = types;
    this.inferred = inferred;
    for (String name : names) {
      numbers.put(name, numbers.size());
    }
  }

  /**
   * Reads a schema.
   *
   * @param packed a name and a type for each field, as {@link PackedLists#readStrings} reads them;
   *     a type that was inferred is followed by a question mark
   */
  public static FieldSchema read(byte[] packed) {
    List<String> names = new ArrayList<>();
    List<ValueType> types = new ArrayList<>();
    List<Boolean> inferred = new ArrayList<>();
    for (String each : PackedLists.readStrings(packed)) {
      if (names.size() == types.size()) {
        names.add(each);
      } else {
        inferred.add(each.endsWith("?"));
        types.add(ValueType.of(each.replace("?", "")));
      }
    }
    return new FieldSchema(names, types, inferred);
  }

  /** The number of fields. */
  public int size() {
    return names.size();
  }

  /** The name of a field. */
  String name(int number) {
    return names.get(number);
  }

  /** Whether there are no fields. */
  public boolean isEmpty() {
    return names.isEmpty();
  }

  /** The number of a field; -1 if there is none of this name. */
  int numberOf(String name) {
    return numbers.getOrDefault(name, -1);
  }

  /** Whether values that do not fit the type are left out; otherwise they are refused. */
  boolean isInferred(int number) {
    return inferred.get(number);
  }

  /** The type of a field. */
  ValueType type(int number) {
    return types.get(number);
  }

  /**
   * Adds values to a document.
   *
   * @param packed for each value: int number of its field; a keyword: int length, UTF-8 bytes; any
   *     other: long
   */
  public void addTo(Document document, BytesRef packed) {
    PackedReader in = new PackedReader(packed);
    while (in.hasMore()) {
      int number = in.readInt();
      String name = names.get(number);
      ValueType type = types.get(number);
      document.add(
          type.isKeyword()
              ? new Field(name, in.readBytes(), type.indexed)
              : new LongValue(name, in.readLong(), type));
    }
  }

  /** A point and doc values in one, as Lucene's LongField. */
  private static final class LongValue extends Field {
    LongValue(String name, long value, ValueType type) {
      super(name, type.indexed);
      fieldsData = value;
    }

    @Override
    public BytesRef binaryValue() {
      byte[] point = new byte[Long.BYTES];
      NumericUtils.longToSortableBytes((Long) fieldsData, point, 0);
      return new BytesRef(point);
    }
  }
}
