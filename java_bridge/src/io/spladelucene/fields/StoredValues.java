package io.spladelucene.fields;

import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedTable;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.index.DocValues;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.SortedNumericDocValues;
import org.apache.lucene.index.SortedSetDocValues;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/** Reads the values of fields from the doc values of an index. */
public final class StoredValues {
  private StoredValues() {}

  /** The fields that this package wrote: a {@link PackedTable} of names and types. */
  public static byte[] types(List<LeafReaderContext> leaves) {
    Map<String, ValueType> types = new HashMap<>();
    for (LeafReaderContext leaf : leaves) {
      for (FieldInfo field : leaf.reader().getFieldInfos()) {
        ValueType type = ValueType.of(field);
        if (type != null) {
          types.put(field.name, type);
        }
      }
    }
    PackedTable table = new PackedTable();
    types.keySet().stream().sorted().forEach(name -> table.addRow(name, types.get(name).text));
    return table.toByteArray();
  }

  /**
   * The values of fields of documents.
   *
   * @param luceneDocids as {@link PackedLists#readInts} reads them
   * @param schema the fields
   * @return per document, per field: int count, and the values: a keyword as int length and UTF-8
   *     bytes, any other as a long
   */
  public static byte[] read(List<LeafReaderContext> leaves, byte[] luceneDocids, FieldSchema schema)
      throws IOException {
    int[] docs = docs(luceneDocids);
    Integer[] order = new Integer[docs.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, Comparator.comparingInt(i -> docs[i])); // doc values are read forwards
    byte[][] found = new byte[docs.length][];
    int at = 0;
    for (LeafReaderContext leaf : leaves) {
      int end = leaf.docBase + leaf.reader().maxDoc();
      Columns columns = null;
      for (; at < order.length && docs[order[at]] < end; at++) {
        boolean isSame = at > 0 && docs[order[at]] == docs[order[at - 1]];
        columns = columns == null ? new Columns(leaf.reader(), schema) : columns;
        found[order[at]] =
            isSame ? found[order[at - 1]] : columns.read(docs[order[at]] - leaf.docBase);
      }
    }
    PackedWriter out = new PackedWriter();
    for (byte[] each : found) {
      out.writeRaw(each);
    }
    return out.toByteArray();
  }

  private static int[] docs(byte[] luceneDocids) {
    List<Integer> docs = new ArrayList<>();
    PackedLists.readInts(luceneDocids).forEach(docs::add);
    return docs.stream().mapToInt(Integer::intValue).toArray();
  }

  /**
   * In how many of some documents each keyword of a field occurs: a {@link PackedTable} of keywords
   * and counts, the keywords in the order of their bytes.
   *
   * @param luceneDocids as {@link PackedLists#readInts} reads them
   */
  public static byte[] count(List<LeafReaderContext> leaves, byte[] luceneDocids, String field)
      throws IOException {
    int[] docs = docs(luceneDocids);
    Arrays.sort(docs);
    KeywordCounts counts = new KeywordCounts();
    int from = 0;
    for (LeafReaderContext leaf : leaves) {
      int to = from;
      while (to < docs.length && docs[to] < leaf.docBase + leaf.reader().maxDoc()) {
        docs[to++] -= leaf.docBase;
      }
      counts.add(leaf.reader(), field, Arrays.copyOfRange(docs, from, to));
      from = to;
    }
    return counts.toByteArray();
  }

  /**
   * The smallest and the largest value of a field that has no keywords, in documents that are not
   * deleted: two longs; nothing if no document has the field.
   */
  public static byte[] range(List<LeafReaderContext> leaves, String field) throws IOException {
    long smallest = Long.MAX_VALUE;
    long largest = Long.MIN_VALUE;
    for (LeafReaderContext leaf : leaves) {
      Bits live = leaf.reader().getLiveDocs();
      SortedNumericDocValues values = DocValues.getSortedNumeric(leaf.reader(), field);
      while (values.nextDoc() != SortedNumericDocValues.NO_MORE_DOCS) {
        if (live == null || live.get(values.docID())) {
          for (int left = values.docValueCount(); left > 0; left--) {
            long value = values.nextValue();
            smallest = Math.min(smallest, value);
            largest = Math.max(largest, value);
          }
        }
      }
    }
    PackedWriter out = new PackedWriter();
    if (smallest <= largest) {
      out.writeLong(smallest);
      out.writeLong(largest);
    }
    return out.toByteArray();
  }

  /** The doc values of some fields of a segment. */
  private static final class Columns {
    private final SortedSetDocValues[] keywords;
    private final SortedNumericDocValues[] longs;

    Columns(LeafReader reader, FieldSchema schema) throws IOException {
      keywords = new SortedSetDocValues[schema.size()];
      longs = new SortedNumericDocValues[schema.size()];
      for (int i = 0; i < keywords.length; i++) {
        if (schema.type(i).isKeyword()) {
          keywords[i] = DocValues.getSortedSet(reader, schema.name(i));
        } else {
          longs[i] = DocValues.getSortedNumeric(reader, schema.name(i));
        }
      }
    }

    byte[] read(int doc) throws IOException {
      PackedWriter out = new PackedWriter();
      for (int i = 0; i < keywords.length; i++) {
        if (keywords[i] != null) {
          int count = keywords[i].advanceExact(doc) ? keywords[i].docValueCount() : 0;
          out.writeInt(count);
          for (int value = 0; value < count; value++) {
            out.writeBytes(keywords[i].lookupOrd(keywords[i].nextOrd()));
          }
        } else {
          int count = longs[i].advanceExact(doc) ? longs[i].docValueCount() : 0;
          out.writeInt(count);
          for (int value = 0; value < count; value++) {
            out.writeLong(longs[i].nextValue());
          }
        }
      }
      return out.toByteArray();
    }
  }

  /** Counts in how many documents each keyword of a field occurs. */
  public static final class KeywordCounts {
    private final Map<BytesRef, Integer> counts = new HashMap<>();

    /** Counts the keywords of some documents of a segment, which are ascending. */
    public void add(LeafReader reader, String field, int[] docs) throws IOException {
      SortedSetDocValues values = DocValues.getSortedSet(reader, field);
      if (docs.length == 0) {
        return;
      }
      int[] byOrd = new int[Math.toIntExact(values.getValueCount())];
      for (int doc : docs) {
        if (values.advanceExact(doc)) {
          for (int left = values.docValueCount(); left > 0; left--) {
            byOrd[(int) values.nextOrd()]++;
          }
        }
      }
      for (int ord = 0; ord < byOrd.length; ord++) {
        if (byOrd[ord] > 0) {
          counts.merge(BytesRef.deepCopyOf(values.lookupOrd(ord)), byOrd[ord], Integer::sum);
        }
      }
    }

    /** A {@link PackedTable} of keywords and counts, the keywords in the order of their bytes. */
    public byte[] toByteArray() {
      PackedTable table = new PackedTable();
      counts.keySet().stream()
          .sorted()
          .forEach(each -> table.addRow(each.utf8ToString(), counts.get(each).toString()));
      return table.toByteArray();
    }
  }
}
