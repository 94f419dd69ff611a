package io.spladelucene.join;

import io.spladelucene.index.ImpactIndexReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.lucene.index.DocValuesType;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.LeafReaderContext;

/**
 * How indexes store their fields. Lucene merges indexes only if all of them store a field alike.
 */
final class FieldFormats {
  private record Found(int index, String format) {}

  private FieldFormats() {}

  /**
   * The first field that two of several indexes store differently.
   *
   * @return its name, the position and format of one index, and those of another; empty if there is
   *     none
   */
  static List<String> difference(List<ImpactIndexReader> indexes) {
    Map<String, Found> known = new HashMap<>();
    for (int index = 0; index < indexes.size(); index++) {
      for (LeafReaderContext leaf : indexes.get(index).leaves()) {
        for (FieldInfo field : leaf.reader().getFieldInfos()) {
          String format = describe(field);
          Found first = known.putIfAbsent(field.name, new Found(index, format));
          if (first != null && !first.format.equals(format)) {
            String other = Integer.toString(first.index);
            return List.of(field.name, other, first.format, Integer.toString(index), format);
          }
        }
      }
    }
    return List.of();
  }

  private static String describe(FieldInfo field) {
    List<String> parts = new ArrayList<>();
    if (field.getIndexOptions() != IndexOptions.NONE) {
      parts.add("indexed with " + words(field.getIndexOptions()));
      parts.add(field.omitsNorms() ? "no norms" : "norms");
    }
    if (hasTermVectors(field)) {
      parts.add("term vectors");
    }
    if (field.getDocValuesType() != DocValuesType.NONE) {
      parts.add(words(field.getDocValuesType()) + " doc values");
    }
    if (field.getPointDimensionCount() > 0) {
      parts.add("points of " + field.getPointDimensionCount() + " x " + field.getPointNumBytes());
    }
    return parts.isEmpty() ? "stored" : String.join(", ", parts);
  }

  private static String words(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }

  /** Lucene 10 has another name for the method of Lucene 9. */
  private static boolean hasTermVectors(FieldInfo field) {
    for (String name : List.of("hasVectors", "hasTermVectors")) {
      try {
        return (boolean) FieldInfo.class.getMethod(name).invoke(field);
      } catch (NoSuchMethodException e) {
        // It has the other name.
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    }
    throw new IllegalStateException("this Lucene does not say whether a field has term vectors");
  }
}
