package io.spladelucene.join;

import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.postings.LiveDocuments;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.TreeSet;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.FixedBitSet;

/**
 * The docids that more than one document has, in several indexes. The last document counts; the
 * others are its duplicates. Both may be in one index, if another program wrote it.
 *
 * <p>Documents that are deleted do not count. Those without terms, of which an index knows only the
 * docids, do.
 */
public final class DuplicateDocids {
  private static final BytesRef LAST = new BytesRef(new byte[] {(byte) 0xFF}); // no text has it
  private static final int MAX_EXAMPLES = 5;
  private static final int STEPS =
      32; // of a cursor before it looks its target up, which takes as long

  /** A docid, and the positions of the indexes of two documents that have it. */
  record Example(String docid, int first, int second) {}

  /** The docids of a segment, or those of documents without terms, in the order of their bytes. */
  private abstract static class Cursor {
    final int index;
    BytesRef docid;

    Cursor(int index) {
      this.index = index;
    }

    /** Goes to the next docid; false at the end. */
    abstract boolean next() throws IOException;

    /** Goes to the first docid that is not before another one; false at the end. */
    boolean advance(BytesRef target) throws IOException {
      boolean found = next();
      while (found && docid.compareTo(target) < 0) {
        found = next();
      }
      return found;
    }

    /** Whether several documents may have the docid. */
    abstract boolean isRepeated() throws IOException;

    /** Adds the documents that have the docid and are not deleted. */
    abstract void collect(List<Location> locations) throws IOException;
  }

  /** A document: the segment, counted over all indexes, and its number there. */
  private record Location(int index, int leaf, int doc) {
    static final int NO_LEAF = Integer.MAX_VALUE; // of a document without terms
  }

  private static final class OfSegment extends Cursor {
    private final int leaf;
    private final LeafReader reader;
    private final TermsEnum docids;
    private final boolean mayBeRepeated;
    private PostingsEnum postings;

    OfSegment(int index, int leaf, LeafReader reader, Terms docids) throws IOException {
      super(index);
      this.leaf = leaf;
      this.reader = reader;
      this.docids = docids.iterator();
      mayBeRepeated = docids.size() < docids.getSumDocFreq();
    }

    @Override
    boolean next() throws IOException {
      docid = docids.next();
      return docid != null;
    }

    @Override
    boolean advance(BytesRef target) throws IOException {
      for (int step = 0; step < STEPS || mayBeRepeated; step++) {
        if (!next()) {
          return false;
        }
        if (docid.compareTo(target) >= 0 || isRepeated()) {
          return true;
        }
      }
      boolean found = docids.seekCeil(target) != TermsEnum.SeekStatus.END;
      docid = found ? docids.term() : null;
      return found;
    }

    @Override
    boolean isRepeated() throws IOException {
      return mayBeRepeated && docids.docFreq() > 1;
    }

    @Override
    void collect(List<Location> locations) throws IOException {
      postings = docids.postings(postings, PostingsEnum.NONE);
      Bits live = reader.getLiveDocs();
      for (int doc = LiveDocuments.next(postings, live);
          doc != PostingsEnum.NO_MORE_DOCS;
          doc = LiveDocuments.next(postings, live)) {
        locations.add(new Location(index, leaf, doc));
      }
    }
  }

  private static final class WithoutTerms extends Cursor {
    private final Iterator<BytesRef> docids;

    WithoutTerms(int index, Iterable<BytesRef> docids) {
      super(index);
      this.docids = docids.iterator();
    }

    @Override
    boolean next() {
      docid = docids.hasNext() ? docids.next() : null;
      return docid != null;
    }

    @Override
    boolean isRepeated() {
      return false;
    }

    @Override
    void collect(List<Location> locations) {
      locations.add(new Location(index, Location.NO_LEAF, 0));
    }
  }

  private final List<LeafReader> leaves = new ArrayList<>(); // of all indexes
  private final FixedBitSet[] hidden; // by segment; null: none
  private final int[] replaced; // by index: the documents that it replaces
  private final List<Example> examples = new ArrayList<>();
  private int count = 0;

  private DuplicateDocids(List<ImpactIndexReader> indexes) {
    for (ImpactIndexReader index : indexes) {
      for (LeafReaderContext leaf : index.leaves()) {
        leaves.add(leaf.reader());
      }
    }
    hidden = new FixedBitSet[leaves.size()];
    replaced = new int[indexes.size()];
  }

  /**
   * Finds the duplicates in open indexes. It takes about as long as reading the docids of all of
   * them but the largest.
   *
   * @param withoutTerms by index: the docids of its documents without terms
   */
  static DuplicateDocids find(List<ImpactIndexReader> indexes, List<TreeSet<BytesRef>> withoutTerms)
      throws IOException {
    DuplicateDocids duplicates = new DuplicateDocids(indexes);
    PriorityQueue<Cursor> queue = new PriorityQueue<>(Comparator.comparing(each -> each.docid));
    int leaf = 0;
    for (int index = 0; index < indexes.size(); index++) {
      for (LeafReaderContext each : indexes.get(index).leaves()) {
        Terms docids = each.reader().terms(Fields.ID);
        if (docids != null) {
          enqueue(queue, new OfSegment(index, leaf, each.reader(), docids));
        }
        leaf++;
      }
      enqueue(queue, new WithoutTerms(index, withoutTerms.get(index)));
    }
    List<Cursor> same = new ArrayList<>();
    while (!queue.isEmpty()) {
      Cursor first = queue.poll();
      BytesRef other = queue.isEmpty() ? LAST : queue.peek().docid;
      if (first.docid.compareTo(other) < 0 && !first.isRepeated()) {
        if (first.advance(other)) {
          queue.add(first);
        }
        continue;
      }
      same.add(first);
      while (!queue.isEmpty() && queue.peek().docid.equals(first.docid)) {
        same.add(queue.poll());
      }
      duplicates.add(same);
      for (Cursor each : same) {
        enqueue(queue, each);
      }
      same.clear();
    }
    return duplicates;
  }

  private static void enqueue(PriorityQueue<Cursor> queue, Cursor cursor) throws IOException {
    if (cursor.next()) {
      queue.add(cursor);
    }
  }

  /** Takes the documents with a docid; all but the last are duplicates. */
  private void add(List<Cursor> same) throws IOException {
    List<Location> locations = new ArrayList<>();
    for (Cursor each : same) {
      each.collect(locations);
    }
    if (locations.size() < 2) {
      return;
    }
    locations.sort(
        Comparator.comparingInt(Location::index)
            .thenComparingInt(Location::leaf)
            .thenComparingInt(Location::doc));
    count++;
    if (examples.size() < MAX_EXAMPLES) {
      String docid = same.get(0).docid.utf8ToString();
      examples.add(new Example(docid, locations.get(0).index, locations.get(1).index));
    }
    for (int i = 0; i < locations.size() - 1; i++) {
      if (locations.get(i).leaf != Location.NO_LEAF) {
        hide(locations.get(i));
        replaced[locations.get(i + 1).index]++;
      }
    }
  }

  private void hide(Location location) {
    if (hidden[location.leaf] == null) {
      hidden[location.leaf] = new FixedBitSet(leaves.get(location.leaf).maxDoc());
    }
    hidden[location.leaf].set(location.doc);
  }

  /** The number of docids of more than one document. */
  public int count() {
    return count;
  }

  /** Some of these docids. */
  List<Example> examples() {
    return examples;
  }

  /** By index: how many documents, of earlier indexes or its own, it replaces. */
  int[] replaced() {
    return replaced;
  }

  /** The segments of all indexes, in which the duplicates count as deleted. */
  LeafReader[] visibleSegments() {
    LeafReader[] visible = new LeafReader[leaves.size()];
    for (int leaf = 0; leaf < visible.length; leaf++) {
      LeafReader reader = leaves.get(leaf);
      visible[leaf] = hidden[leaf] == null ? reader : new HidingReader(reader, hidden[leaf]);
    }
    return visible;
  }
}
