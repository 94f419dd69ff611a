package io.spladelucene.search;

import io.spladelucene.wire.PackedReader;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.index.DocValues;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.PointValues;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.NumericUtils;

/**
 * A condition on the fields of a document. Python has checked it against the types of the fields,
 * and turned all comparisons into ranges.
 */
sealed interface FieldCondition {
  /** How many documents are taken between two questions whether the search is stopped. */
  int UNASKED = 1 << 14;

  /**
   * A bit for each document of a segment that fulfils the condition, deleted or not.
   *
   * @throws java.util.concurrent.CancellationException if the search is stopped
   */
  long[] documents(LeafReader reader, Cancellation cancellation) throws IOException;

  /**
   * Reads a condition.
   *
   * @param packed int kind, and per kind; 0: no document; 1 or 2, all or one of several: int count,
   *     the conditions; 3, not: the condition; 4, keywords: the field, int count, the keywords; 5,
   *     a range of keywords: the field, the first keyword, the one after the last (length -1: no
   *     bound); 6, a range of longs: the field, the first, the last; 7 or 8, has a value: the field
   *     of keywords, or of longs
   */
  static FieldCondition read(byte[] packed) {
    return read(new PackedReader(packed));
  }

  private static FieldCondition read(PackedReader in) {
    int kind = in.readInt();
    return switch (kind) {
      case 0 -> new Nothing();
      case 1 -> new All(readSeveral(in));
      case 2 -> new Any(readSeveral(in));
      case 3 -> new Not(read(in));
      case 4 -> {
        String field = in.readString();
        List<BytesRef> keywords = new ArrayList<>();
        for (int left = in.readInt(); left > 0; left--) {
          keywords.add(in.readBytes());
        }
        yield new Keywords(field, keywords);
      }
      case 5 -> new KeywordRange(in.readString(), in.readBytes(), in.readBytes());
      case 6 -> new LongRange(in.readString(), in.readLong(), in.readLong());
      case 7 -> new Exists(in.readString(), true);
      case 8 -> new Exists(in.readString(), false);
      default -> throw new IllegalArgumentException("unknown kind of condition: " + kind);
    };
  }

  private static List<FieldCondition> readSeveral(PackedReader in) {
    List<FieldCondition> conditions = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      conditions.add(read(in));
    }
    return conditions;
  }

  private static long[] none(LeafReader reader) {
    return new long[(reader.maxDoc() - 1 >> 6) + 1];
  }

  private static void set(long[] bits, int doc) {
    bits[doc >> 6] |= 1L << doc;
  }

  private static void set(long[] bits, DocIdSetIterator docs, Cancellation cancellation)
      throws IOException {
    int taken = 0;
    for (int doc = docs.nextDoc(); doc != DocIdSetIterator.NO_MORE_DOCS; doc = docs.nextDoc()) {
      if (taken++ % UNASKED == 0) {
        cancellation.check();
      }
      set(bits, doc);
    }
  }

  /** No document. */
  record Nothing() implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) {
      return none(reader);
    }
  }

  /** All of some conditions, of which there is at least one. */
  record All(List<FieldCondition> conditions) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = conditions.get(0).documents(reader, cancellation);
      for (FieldCondition each : conditions.subList(1, conditions.size())) {
        long[] others = each.documents(reader, cancellation);
        for (int i = 0; i < bits.length; i++) {
          bits[i] &= others[i];
        }
      }
      return bits;
    }
  }

  /** At least one of some conditions. */
  record Any(List<FieldCondition> conditions) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = none(reader);
      for (FieldCondition each : conditions) {
        long[] others = each.documents(reader, cancellation);
        for (int i = 0; i < bits.length; i++) {
          bits[i] |= others[i];
        }
      }
      return bits;
    }
  }

  /** The documents that do not fulfil a condition. */
  record Not(FieldCondition condition) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = condition.documents(reader, cancellation);
      for (int i = 0; i < bits.length; i++) {
        bits[i] = ~bits[i];
      }
      int last = reader.maxDoc() & 63;
      if (last > 0) {
        bits[bits.length - 1] &= (1L << last) - 1;
      }
      return bits;
    }
  }

  /** The documents with at least one of some keywords. */
  record Keywords(String field, List<BytesRef> keywords) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = none(reader);
      Terms terms = reader.terms(field);
      if (terms != null) {
        TermsEnum found = terms.iterator();
        PostingsEnum postings = null;
        for (BytesRef keyword : keywords) {
          if (found.seekExact(keyword)) {
            postings = found.postings(postings, PostingsEnum.NONE);
            set(bits, postings, cancellation);
          }
        }
      }
      return bits;
    }
  }

  /** The documents with a keyword in a range. */
  record KeywordRange(String field, BytesRef first, BytesRef end) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = none(reader);
      Terms terms = reader.terms(field);
      if (terms == null) {
        return bits;
      }
      TermsEnum found = terms.iterator();
      BytesRef from = first == null ? new BytesRef() : first;
      if (found.seekCeil(from) == TermsEnum.SeekStatus.END) {
        return bits;
      }
      PostingsEnum postings = null;
      for (BytesRef term = found.term();
          term != null && (end == null || term.compareTo(end) < 0);
          term = found.next()) {
        postings = found.postings(postings, PostingsEnum.NONE);
        set(bits, postings, cancellation);
      }
      return bits;
    }
  }

  /** The documents with a value in a range. */
  record LongRange(String field, long first, long last) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = none(reader);
      PointValues points = reader.getPointValues(field);
      if (points != null) {
        points.intersect(new Visitor(bits, first, last, cancellation));
      }
      return bits;
    }
  }

  /** Sets the bits of the documents whose points are in a range. */
  record Visitor(long[] bits, long first, long last, Cancellation cancellation)
      implements PointValues.IntersectVisitor {
    @Override
    public void visit(int doc) {
      set(bits, doc);
    }

    @Override
    public void visit(int doc, byte[] point) {
      long value = NumericUtils.sortableBytesToLong(point, 0);
      if (first <= value && value <= last) {
        set(bits, doc);
      }
    }

    @Override
    public PointValues.Relation compare(byte[] least, byte[] most) {
      cancellation.check(); // of each block of points
      long from = NumericUtils.sortableBytesToLong(least, 0);
      long to = NumericUtils.sortableBytesToLong(most, 0);
      if (to < first || from > last) {
        return PointValues.Relation.CELL_OUTSIDE_QUERY;
      }
      return first <= from && to <= last
          ? PointValues.Relation.CELL_INSIDE_QUERY
          : PointValues.Relation.CELL_CROSSES_QUERY;
    }
  }

  /** The documents with any value of a field. */
  record Exists(String field, boolean isKeyword) implements FieldCondition {
    @Override
    public long[] documents(LeafReader reader, Cancellation cancellation) throws IOException {
      long[] bits = none(reader);
      set(
          bits,
          isKeyword
              ? DocValues.getSortedSet(reader, field)
              : DocValues.getSortedNumeric(reader, field),
          cancellation);
      return bits;
    }
  }
}
