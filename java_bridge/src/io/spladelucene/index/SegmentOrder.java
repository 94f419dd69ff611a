package io.spladelucene.index;

import java.io.IOException;
import java.util.Arrays;
import org.apache.lucene.index.CodecReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Sorter;
import org.apache.lucene.index.SortingCodecReader;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;

/** A new order of the documents of a segment that exists: that of {@link GraphBisection}. */
final class SegmentOrder extends Sorter.DocMap {
  private static final int TERMS = 24; // a document is ordered by so many terms, the heaviest
  private static final int BYTES = 2 * TERMS * Integer.BYTES; // for each document, as below

  private final int[] newToOld;
  private final int[] oldToNew;

  private SegmentOrder(int[] newToOld) {
    this.newToOld = newToOld;
    oldToNew = new int[newToOld.length];
    for (int i = 0; i < newToOld.length; i++) {
      oldToNew[newToOld[i]] = i;
    }
  }

  /**
   * Presents a segment in the new order, with all its fields.
   *
   * @param segment without deleted documents
   * @param memory for the order, in bytes: a segment that takes more is ordered in pieces
   */
  static CodecReader reorder(CodecReader segment, int threads, long memory) throws IOException {
    int documents = segment.maxDoc();
    int[] newToOld = new int[documents];
    int piece = (int) Math.max(1 << 12, Math.min(documents, memory / BYTES));
    for (int from = 0; from < documents; from += piece) {
      int[] order = order(segment, from, Math.min(documents, from + piece), threads);
      for (int i = 0; i < order.length; i++) {
        newToOld[from + i] = from + order[i];
      }
    }
    return SortingCodecReader.wrap(segment, new SegmentOrder(newToOld), null);
  }

  /** The new order of a range of documents, from 0. */
  private static int[] order(LeafReader segment, int from, int to, int threads) throws IOException {
    int documents = to - from;
    int[] terms = new int[TERMS * documents]; // by document: its heaviest terms, heaviest first
    int[] impacts = new int[TERMS * documents];
    int[] counts = new int[documents];
    Terms dictionary = segment.terms(Fields.CONTENTS);
    int term = 0;
    if (dictionary != null) {
      PostingsEnum postings = null;
      for (TermsEnum each = dictionary.iterator(); each.next() != null; term++) {
        postings = each.postings(postings, PostingsEnum.FREQS);
        for (int doc = postings.advance(from); doc < to; doc = postings.nextDoc()) {
          int at = doc - from;
          counts[at] = insert(terms, impacts, TERMS * at, counts[at], term, postings.freq());
        }
      }
    }
    int[] starts = new int[documents + 1];
    for (int i = 0; i < documents; i++) {
      System.arraycopy(terms, TERMS * i, terms, starts[i], counts[i]);
      starts[i + 1] = starts[i] + counts[i];
      Arrays.sort(terms, starts[i], starts[i + 1]);
    }
    return GraphBisection.order(
        starts, Arrays.copyOf(terms, starts[documents]), Math.max(1, term), threads);
  }

  /** Keeps a term if it is among the heaviest; of equal ones the first stays. Returns the count. */
  private static int insert(
      int[] terms, int[] impacts, int start, int count, int term, int impact) {
    int at = start + count;
    while (at > start && impacts[at - 1] < impact) {
      at--;
    }
    if (at == start + TERMS) {
      return count;
    }
    int moved = Math.min(count, TERMS - 1) - (at - start);
    System.arraycopy(terms, at, terms, at + 1, moved);
    System.arraycopy(impacts, at, impacts, at + 1, moved);
    terms[at] = term;
    impacts[at] = impact;
    return Math.min(count + 1, TERMS);
  }

  @Override
  public int oldToNew(int document) {
    return oldToNew[document];
  }

  @Override
  public int newToOld(int document) {
    return newToOld[document];
  }

  @Override
  public int size() {
    return newToOld.length;
  }
}
