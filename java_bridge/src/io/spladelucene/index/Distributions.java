package io.spladelucene.index;

import io.spladelucene.postings.LiveDocuments;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.Bits;

/** How often each impact occurs, and how many documents have each number of terms. */
final class Distributions {
  /** Larger values count as this one. */
  private static final int LARGEST = 1 << 16;

  private long[] impacts = new long[512];
  private long[] lengths = new long[512];

  private Distributions() {}

  /**
   * The distributions of an index without its deleted documents.
   *
   * @param isCancelled asked before each term whether to stop
   * @return for impacts and for lengths: int number of values; for each, ascending: the value as an
   *     int, and as a long how often it occurs
   * @throws CancellationException if it is to stop
   */
  static byte[] of(List<LeafReaderContext> leaves, BooleanSupplier isCancelled) throws IOException {
    Distributions found = new Distributions();
    for (LeafReaderContext leaf : leaves) {
      found.add(leaf.reader(), isCancelled);
    }
    PackedWriter out = new PackedWriter();
    write(found.impacts, out);
    write(found.lengths, out);
    return out.toByteArray();
  }

  private void add(LeafReader reader, BooleanSupplier isCancelled) throws IOException {
    Bits live = reader.getLiveDocs();
    int[] terms = new int[reader.maxDoc()];
    Terms all = reader.terms(Fields.CONTENTS);
    PostingsEnum postings = null;
    for (TermsEnum each = all == null ? TermsEnum.EMPTY : all.iterator(); each.next() != null; ) {
      if (isCancelled.getAsBoolean()) {
        throw new CancellationException("the statistics were cancelled");
      }
      postings = each.postings(postings, PostingsEnum.FREQS);
      for (int doc = LiveDocuments.next(postings, live);
          doc != PostingsEnum.NO_MORE_DOCS;
          doc = LiveDocuments.next(postings, live)) {
        impacts = counted(impacts, postings.freq());
        terms[doc]++;
      }
    }
    for (int doc = 0; doc < terms.length; doc++) {
      if (live == null || live.get(doc)) {
        lengths = counted(lengths, terms[doc]);
      }
    }
  }

  private static long[] counted(long[] counts, int value) {
    int at = Math.min(value, LARGEST);
    long[] grown = at < counts.length ? counts : Arrays.copyOf(counts, Math.max(at + 1, 2 * at));
    grown[at]++;
    return grown;
  }

  private static void write(long[] counts, PackedWriter out) {
    out.writeInt((int) Arrays.stream(counts).filter(count -> count > 0).count());
    for (int value = 0; value < counts.length; value++) {
      if (counts[value] > 0) {
        out.writeInt(value);
        out.writeLong(counts[value]);
      }
    }
  }
}
