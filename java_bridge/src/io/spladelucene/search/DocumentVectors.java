package io.spladelucene.search;

import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.postings.ForwardPostings;
import io.spladelucene.wire.ImpactQuery;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * The vectors of documents: their terms and impacts. An index stores postings by term, so they are
 * looked up in the postings of all terms. When that has taken about as long as reading all postings
 * of a segment, these are kept by document in memory, if there is room. For any number of threads.
 */
final class DocumentVectors {
  private static final int POSTINGS_PER_LOOKUP = 16; // that are read in the same time

  private final ImpactIndexReader index;
  private final AtomicReferenceArray<ForwardPostings> kept; // by segment; null: not yet
  private final AtomicLongArray lookups; // by segment
  private final ReentrantLock building = new ReentrantLock(); // of what is kept
  private long room; // guarded by building

  /**
   * No vectors are kept yet.
   *
   * @param room in bytes
   */
  DocumentVectors(ImpactIndexReader index, long room) {
    this.index = index;
    this.room = room;
    kept = new AtomicReferenceArray<>(index.leaves().size());
    lookups = new AtomicLongArray(kept.length());
  }

  /**
   * The vectors of some documents.
   *
   * @param docs lucene_docids of documents that are not deleted, ascending and distinct
   */
  List<ImpactQuery> of(int[] docs) throws IOException {
    List<ImpactQuery> vectors = new ArrayList<>();
    int from = 0;
    for (LeafReaderContext leaf : index.leaves()) {
      int to = from;
      while (to < docs.length && docs[to] < leaf.docBase + leaf.reader().maxDoc()) {
        to++;
      }
      if (from < to) {
        int[] ofLeaf = Arrays.copyOfRange(docs, from, to);
        for (int i = 0; i < ofLeaf.length; i++) {
          ofLeaf[i] -= leaf.docBase;
        }
        vectors.addAll(ofLeaf(leaf, ofLeaf));
      }
      from = to;
    }
    return vectors;
  }

  private List<ImpactQuery> ofLeaf(LeafReaderContext leaf, int[] docs) throws IOException {
    Terms terms = leaf.reader().terms(Fields.CONTENTS);
    if (terms == null) {
      return Arrays.stream(docs)
          .mapToObj(doc -> new ImpactQuery(new BytesRef[0], new int[0]))
          .toList();
    }
    ForwardPostings forward = keptOf(leaf, terms, docs.length);
    if (forward != null) {
      return Arrays.stream(docs).mapToObj(forward::vector).toList();
    }
    return lookUp(terms, docs);
  }

  /**
   * The postings of a segment by document; {@code null} if they do not pay yet, lack room, or
   * another thread is building some.
   */
  private ForwardPostings keptOf(LeafReaderContext leaf, Terms terms, int docs) throws IOException {
    ForwardPostings found = kept.get(leaf.ord);
    if (found != null) {
      return found;
    }
    long made = lookups.addAndGet(leaf.ord, Math.max(1, terms.size()) * docs);
    if (made * POSTINGS_PER_LOOKUP < terms.getSumDocFreq() || !building.tryLock()) {
      return null;
    }
    try {
      if (kept.get(leaf.ord) == null) { // as it was before the lock
        build(leaf, terms);
      }
      return kept.get(leaf.ord);
    } finally {
      building.unlock();
    }
  }

  private void build(LeafReaderContext leaf, Terms terms) throws IOException {
    int maxDoc = leaf.reader().maxDoc();
    if (ForwardPostings.estimate(terms, maxDoc) <= room) {
      ForwardPostings built = ForwardPostings.of(terms, leaf.reader().getLiveDocs(), maxDoc);
      room -= built.bytes();
      kept.set(leaf.ord, built);
    }
  }

  private static List<ImpactQuery> lookUp(Terms terms, int[] docs) throws IOException {
    List<List<BytesRef>> found = new ArrayList<>();
    List<List<Integer>> impacts = new ArrayList<>();
    for (int i = 0; i < docs.length; i++) {
      found.add(new ArrayList<>());
      impacts.add(new ArrayList<>());
    }
    TermsEnum each = terms.iterator();
    PostingsEnum postings = null;
    for (BytesRef term = each.next(); term != null; term = each.next()) {
      postings = each.postings(postings, PostingsEnum.FREQS);
      BytesRef copy = null;
      for (int i = 0; i < docs.length && postings.docID() != PostingsEnum.NO_MORE_DOCS; i++) {
        int doc = postings.docID() < docs[i] ? postings.advance(docs[i]) : postings.docID();
        if (doc == docs[i]) {
          copy = copy == null ? BytesRef.deepCopyOf(term) : copy;
          found.get(i).add(copy);
          impacts.get(i).add(postings.freq());
        }
      }
    }
    List<ImpactQuery> vectors = new ArrayList<>();
    for (int i = 0; i < docs.length; i++) {
      vectors.add(
          new ImpactQuery(
              found.get(i).toArray(BytesRef[]::new),
              impacts.get(i).stream().mapToInt(Integer::intValue).toArray()));
    }
    return vectors;
  }
}
