package io.spladelucene;

import java.util.Arrays;

/**
 * Some thousand consecutive documents, inverted: for each term its postings as (docid delta, impact) in variable-length
 * integers. One posting takes some two bytes, so a whole build of millions of documents fits in memory until it is
 * handed to Lucene in one piece.
 */
final class InvertedBlock {
  final int documents;
  /** Docids (UTF-8) and stored fields of the documents, in order; a stored field may be {@code null}. */
  final byte[][] docids;
  final byte[][] stored;
  /** Per distinct term, in the order in which the block met them: its id, documents, sum of impacts, where it starts. */
  final int[] termIds;
  final int[] docFreqs;
  final long[] totalImpacts;
  final int[] starts;
  final byte[] postings;
  final long bytes;

  private InvertedBlock(byte[][] docids, byte[][] stored, int[] termIds, int[] docFreqs, long[] totalImpacts,
      int[] starts, byte[] postings) {
    this.documents = docids.length;
    this.docids = docids;
    this.stored = stored;
    this.termIds = termIds;
    this.docFreqs = docFreqs;
    this.totalImpacts = totalImpacts;
    this.starts = starts;
    this.postings = postings;
    long size = postings.length + 20L * termIds.length;
    for (int i = 0; i < documents; i++) {
      size += 40L + docids[i].length + (stored[i] == null ? 0 : stored[i].length + 16L);
    }
    this.bytes = size;
  }

  /** The block without the documents that {@code drop} names, the others numbered anew. */
  InvertedBlock without(boolean[] drop) {
    int largest = 0;
    for (int termId : termIds) {
      largest = Math.max(largest, termId);
    }
    ForwardBlock forward = new ForwardBlock(this);
    Builder kept = new Builder();
    for (int document = 0; document < documents; document++) {
      if (!drop[document]) {
        forward.addTo(kept, document);
      }
    }
    return kept.invert(largest + 1);
  }

  /** Walks the postings of one term of the block. */
  final class Cursor {
    private int position;
    private int left;
    int document = 0; // relative to the block
    int impact;

    Cursor(int term) {
      position = starts[term];
      left = docFreqs[term];
    }

    boolean next() {
      if (left == 0) {
        return false;
      }
      left--;
      int delta = VInt.read(postings, position);
      position += VInt.length(delta);
      document += delta;
      impact = VInt.read(postings, position);
      position += VInt.length(impact);
      return true;
    }
  }

  /** Collects documents in input order and inverts them with a counting sort. Reused from block to block. */
  static final class Builder {
    private byte[][] docids = new byte[1024][];
    private byte[][] stored = new byte[1024][];
    private int[] ends = new int[1024];
    private int documents = 0;
    private int[] termIds = new int[1 << 16];
    private int[] impacts = new int[1 << 16];
    private int postings = 0;
    private int[] counts = new int[1 << 15]; // by term id; all zero between blocks

    int mark() {
      return postings;
    }

    void rollback(int mark) {
      postings = mark;
    }

    int pendingPostings() {
      return postings - (documents == 0 ? 0 : ends[documents - 1]);
    }

    /** Lucene counts the tokens of a field, so a document's impacts may not sum to more than an int holds. */
    boolean isTooHeavy() {
      long sum = 0;
      for (int i = documents == 0 ? 0 : ends[documents - 1]; i < postings; i++) {
        sum += impacts[i];
      }
      return sum > Integer.MAX_VALUE;
    }

    void addPosting(int termId, int impact) {
      if (postings == termIds.length) {
        termIds = Arrays.copyOf(termIds, postings * 2);
        impacts = Arrays.copyOf(impacts, postings * 2);
      }
      termIds[postings] = termId;
      impacts[postings++] = impact;
    }

    void endDocument(byte[] docid, int from, int to, byte[] storedField) {
      if (documents == docids.length) {
        docids = Arrays.copyOf(docids, documents * 2);
        stored = Arrays.copyOf(stored, documents * 2);
        ends = Arrays.copyOf(ends, documents * 2);
      }
      docids[documents] = Arrays.copyOfRange(docid, from, to);
      stored[documents] = storedField;
      ends[documents++] = postings;
    }

    int documents() {
      return documents;
    }

    /**
     * Inverts the collected documents and empties the builder.
     *
     * @param dictionarySize more than every term id in use
     */
    InvertedBlock invert(int dictionarySize) {
      if (counts.length < dictionarySize) {
        counts = new int[Math.max(dictionarySize, counts.length * 2)];
      }
      int[] distinct = new int[1024];
      int terms = 0;
      for (int i = 0; i < postings; i++) {
        if (counts[termIds[i]]++ == 0) {
          if (terms == distinct.length) {
            distinct = Arrays.copyOf(distinct, terms * 2);
          }
          distinct[terms++] = termIds[i];
        }
      }
      int[] docFreqs = new int[terms];
      int[] firsts = new int[terms];
      int total = 0;
      for (int term = 0; term < terms; term++) {
        docFreqs[term] = counts[distinct[term]];
        firsts[term] = total;
        counts[distinct[term]] = total; // from now on: where the term's next posting goes
        total += docFreqs[term];
      }
      int[] sortedDocuments = new int[postings];
      int[] sortedImpacts = new int[postings];
      int posting = 0;
      for (int document = 0; document < documents; document++) {
        for (; posting < ends[document]; posting++) {
          int to = counts[termIds[posting]]++;
          sortedDocuments[to] = document;
          sortedImpacts[to] = impacts[posting];
        }
      }
      InvertedBlock block = pack(Arrays.copyOf(distinct, terms), docFreqs, firsts, sortedDocuments, sortedImpacts);
      for (int term = 0; term < terms; term++) {
        counts[distinct[term]] = 0;
      }
      Arrays.fill(docids, 0, documents, null);
      Arrays.fill(stored, 0, documents, null);
      documents = 0;
      postings = 0;
      return block;
    }

    private InvertedBlock pack(int[] distinct, int[] docFreqs, int[] firsts, int[] sortedDocuments, int[] sortedImpacts) {
      byte[] packed = new byte[postings * 3 + 16];
      int at = 0;
      int[] starts = new int[distinct.length];
      long[] totalImpacts = new long[distinct.length];
      for (int term = 0; term < distinct.length; term++) {
        starts[term] = at;
        if (at + docFreqs[term] * 10L > packed.length) {
          packed = Arrays.copyOf(packed, (int) Math.min(Integer.MAX_VALUE - 16, packed.length * 2L + docFreqs[term] * 10L));
        }
        int previous = 0;
        for (int i = firsts[term]; i < firsts[term] + docFreqs[term]; i++) {
          at = VInt.write(packed, at, sortedDocuments[i] - previous);
          at = VInt.write(packed, at, sortedImpacts[i]);
          previous = sortedDocuments[i];
          totalImpacts[term] += sortedImpacts[i];
        }
      }
      return new InvertedBlock(Arrays.copyOf(docids, documents), Arrays.copyOf(stored, documents), distinct, docFreqs,
          totalImpacts, starts, Arrays.copyOf(packed, at));
    }
  }
}
