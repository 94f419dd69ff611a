package io.spladelucene.postings;

import java.util.Arrays;

/**
 * An inverted index of a few thousand consecutive documents: for each term its postings, as
 * (document delta, impact) in variable-length integers. A posting takes about two bytes, so that
 * the postings of millions of documents fit in memory until Lucene writes them as one segment.
 *
 * <p>Documents are numbered from 0 within the block. Nobody writes to the arrays.
 */
public final class InvertedBlock {
  /** The number of documents. */
  public final int documents;

  /** By document: its docid, in UTF-8. */
  public final byte[][] docids;

  /** By document: its stored field, in UTF-8, or {@code null}. */
  public final byte[][] stored;

  /** By document: the values of its fields, packed, or {@code null}. */
  public final byte[][] values;

  /** The ids of the distinct terms, in the order in which they first occur. */
  public final int[] termIds;

  /** By position in {@link #termIds}: the number of documents with the term. */
  public final int[] docFreqs;

  /** By position in {@link #termIds}: the sum of the term's impacts. */
  public final long[] totalImpacts;

  /** The terms of the documents' texts and how often they occur; {@code null} if not inverted. */
  public final InvertedBlock texts;

  /** An estimate of the block's memory. */
  public final long bytes;

  private final int[] starts; // by position in termIds
  private final byte[] postings;

  private InvertedBlock(
      byte[][] docids,
      byte[][] stored,
      byte[][] values,
      int[] termIds,
      int[] docFreqs,
      long[] totalImpacts,
      int[] starts,
      byte[] postings,
      InvertedBlock texts) {
    this.documents = docids.length;
    this.docids = docids;
    this.stored = stored;
    this.values = values;
    this.termIds = termIds;
    this.docFreqs = docFreqs;
    this.totalImpacts = totalImpacts;
    this.starts = starts;
    this.postings = postings;
    this.texts = texts;
    long size = postings.length + 20L * termIds.length;
    for (int i = 0; i < documents; i++) {
      size += 40L + docids[i].length + (stored[i] == null ? 0 : stored[i].length + 16L);
      size += values[i] == null ? 0 : values[i].length + 16L;
    }
    this.bytes = size + (texts == null ? 0 : texts.bytes);
  }

  /** A copy without some documents; the others are renumbered. */
  public InvertedBlock without(boolean[] drop) {
    int largest = 0;
    for (int termId : termIds) {
      largest = Math.max(largest, termId);
    }
    ForwardBlock forward = new ForwardBlock(this);
    Builder kept = new Builder(texts != null);
    for (int document = 0; document < documents; document++) {
      if (!drop[document]) {
        forward.addTo(kept, document);
      }
    }
    return kept.invert(largest + 1);
  }

  /** The same documents, with other ids of the terms of their texts: one for each that is there. */
  public InvertedBlock withTextTerms(int[] ids) {
    InvertedBlock numbered =
        new InvertedBlock(
            texts.docids,
            texts.stored,
            texts.values,
            ids,
            texts.docFreqs,
            texts.totalImpacts,
            texts.starts,
            texts.postings,
            null);
    return new InvertedBlock(
        docids, stored, values, termIds, docFreqs, totalImpacts, starts, postings, numbered);
  }

  /** Iterates over the postings of one term. */
  public final class Cursor {
    /** The document of the current posting. */
    public int document = 0;

    /** The impact of the current posting. */
    public int impact;

    private int position;
    private int left;

    /** Starts before the first posting of the term at a position in {@link #termIds}. */
    public Cursor(int term) {
      position = starts[term];
      left = docFreqs[term];
    }

    /** Advances to the next posting; false if there is none. */
    public boolean next() {
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

  /** Collects documents and inverts them with a counting sort. Used for one block after another. */
  public static final class Builder {
    private byte[][] docids = new byte[1024][];
    private byte[][] stored = new byte[1024][];
    private byte[][] values = new byte[1024][];
    private int[] ends = new int[1024];
    private int documents = 0;
    private int[] termIds = new int[1 << 16];
    private int[] impacts = new int[1 << 16];
    private int postings = 0;
    private int[] counts = new int[1 << 15]; // by term id; all zero between blocks
    private int dictionarySize = 0; // of the terms of texts
    private final Builder texts; // null: they are not inverted

    /** An empty builder without texts. */
    public Builder() {
      this(false);
    }

    /**
     * An empty builder.
     *
     * @param withTexts whether each document has a text beside its impacts
     */
    public Builder(boolean withTexts) {
      texts = withTexts ? new Builder() : null;
    }

    /** Adds a term to the text of the document that has not ended. */
    public void addTextTerm(int termId, int count) {
      texts.addPosting(termId, count);
      texts.dictionarySize = Math.max(texts.dictionarySize, termId + 1);
    }

    /** A state to which {@link #rollback} can return until the next document ends. */
    public int mark() {
      return postings;
    }

    /** Removes the postings that were added since a mark. */
    public void rollback(int mark) {
      postings = mark;
    }

    /** The number of postings since the last document ended. */
    public int pendingPostings() {
      return postings - (documents == 0 ? 0 : ends[documents - 1]);
    }

    /**
     * Whether the impacts of the document that has not ended sum to more than an int holds. Lucene
     * counts the tokens of a field in an int and would fail.
     */
    public boolean isTooHeavy() {
      long sum = 0;
      for (int i = documents == 0 ? 0 : ends[documents - 1]; i < postings; i++) {
        sum += impacts[i];
      }
      return sum > Integer.MAX_VALUE;
    }

    /** Adds a posting to the document that has not ended. */
    public void addPosting(int termId, int impact) {
      if (postings == termIds.length) {
        termIds = Arrays.copyOf(termIds, postings * 2);
        impacts = Arrays.copyOf(impacts, postings * 2);
      }
      termIds[postings] = termId;
      impacts[postings++] = impact;
    }

    /**
     * Ends a document.
     *
     * @param docid its docid is from {@code from} to {@code to}; copied
     * @param storedField {@code null} if it has none
     * @param fieldValues the values of its fields, packed; {@code null} if it has none
     */
    public void endDocument(
        byte[] docid, int from, int to, byte[] storedField, byte[] fieldValues) {
      if (documents == docids.length) {
        docids = Arrays.copyOf(docids, documents * 2);
        stored = Arrays.copyOf(stored, documents * 2);
        values = Arrays.copyOf(values, documents * 2);
        ends = Arrays.copyOf(ends, documents * 2);
      }
      docids[documents] = Arrays.copyOfRange(docid, from, to);
      stored[documents] = storedField;
      values[documents] = fieldValues;
      ends[documents++] = postings;
      if (texts != null) {
        texts.endDocument(docid, from, from, null, null);
      }
    }

    /** The number of documents that ended. */
    public int documents() {
      return documents;
    }

    /**
     * Inverts the collected documents and empties the builder.
     *
     * @param dictionarySize greater than every term id in use
     */
    public InvertedBlock invert(int dictionarySize) {
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
        counts[distinct[term]] = total; // from here on the position of the term's next posting
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
      InvertedBlock block =
          pack(Arrays.copyOf(distinct, terms), docFreqs, firsts, sortedDocuments, sortedImpacts);
      for (int term = 0; term < terms; term++) {
        counts[distinct[term]] = 0;
      }
      Arrays.fill(docids, 0, documents, null);
      Arrays.fill(stored, 0, documents, null);
      Arrays.fill(values, 0, documents, null);
      documents = 0;
      postings = 0;
      return block;
    }

    private InvertedBlock pack(
        int[] distinct, int[] docFreqs, int[] firsts, int[] sortedDocuments, int[] sortedImpacts) {
      byte[] packed = new byte[postings * 3 + 16];
      int at = 0;
      int[] starts = new int[distinct.length];
      long[] totalImpacts = new long[distinct.length];
      for (int term = 0; term < distinct.length; term++) {
        starts[term] = at;
        if (at + docFreqs[term] * 10L > packed.length) {
          packed =
              Arrays.copyOf(
                  packed,
                  (int)
                      Math.min(Integer.MAX_VALUE - 16, packed.length * 2L + docFreqs[term] * 10L));
        }
        int previous = 0;
        for (int i = firsts[term]; i < firsts[term] + docFreqs[term]; i++) {
          at = VInt.write(packed, at, sortedDocuments[i] - previous);
          at = VInt.write(packed, at, sortedImpacts[i]);
          previous = sortedDocuments[i];
          totalImpacts[term] += sortedImpacts[i];
        }
      }
      return new InvertedBlock(
          Arrays.copyOf(docids, documents),
          Arrays.copyOf(stored, documents),
          Arrays.copyOf(values, documents),
          distinct,
          docFreqs,
          totalImpacts,
          starts,
          Arrays.copyOf(packed, at),
          texts == null ? null : texts.invert(texts.dictionarySize));
    }
  }
}
