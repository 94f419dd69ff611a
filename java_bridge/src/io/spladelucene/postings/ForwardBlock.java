package io.spladelucene.postings;

import java.util.Arrays;

/**
 * A forward index of the documents of an {@link InvertedBlock}: the terms and impacts of each
 * document, as variable-length integers.
 */
public final class ForwardBlock {
  private final byte[][] docids;
  private final byte[][] stored;
  private final byte[][] values;
  private final int[] starts;
  private final byte[] postings; // by document: (term id, impact) in the order of the block
  private final ForwardBlock texts; // null: they are not inverted

  /** Builds the forward index of a block. */
  public ForwardBlock(InvertedBlock block) {
    docids = block.docids;
    stored = block.stored;
    values = block.values;
    texts = block.texts == null ? null : new ForwardBlock(block.texts);
    starts = new int[block.documents + 1];
    for (int term = 0; term < block.termIds.length; term++) {
      int termLength = VInt.length(block.termIds[term]);
      for (InvertedBlock.Cursor cursor = block.new Cursor(term); cursor.next(); ) {
        starts[cursor.document + 1] += termLength + VInt.length(cursor.impact);
      }
    }
    for (int document = 0; document < block.documents; document++) {
      starts[document + 1] = Math.addExact(starts[document], starts[document + 1]);
    }
    postings = new byte[starts[block.documents]];
    int[] next = starts.clone();
    for (int term = 0; term < block.termIds.length; term++) {
      for (InvertedBlock.Cursor cursor = block.new Cursor(term); cursor.next(); ) {
        int at = VInt.write(postings, next[cursor.document], block.termIds[term]);
        next[cursor.document] = VInt.write(postings, at, cursor.impact);
      }
    }
  }

  /** The number of documents. */
  public int documents() {
    return docids.length;
  }

  /** Whether each document has a text beside its impacts. */
  public boolean hasTexts() {
    return texts != null;
  }

  /** Adds a document, with its docid, its stored field, its values and its text, to a builder. */
  public void addTo(InvertedBlock.Builder builder, int document) {
    if (texts != null) {
      texts.forEach(document, builder::addTextTerm);
    }
    forEach(document, builder::addPosting);
    byte[] docid = docids[document];
    builder.endDocument(docid, 0, docid.length, stored[document], values[document]);
  }

  private interface Posting {
    void accept(int term, int impact);
  }

  private void forEach(int document, Posting posting) {
    for (int at = starts[document]; at < starts[document + 1]; ) {
      int term = VInt.read(postings, at);
      at += VInt.length(term);
      int impact = VInt.read(postings, at);
      at += VInt.length(impact);
      posting.accept(term, impact);
    }
  }

  /**
   * The ids of the terms with a document's {@code count} largest impacts, ascending; among equal
   * impacts the smaller id.
   */
  public int[] heaviestTerms(int document, int count) {
    long[] heaviest = new long[64];
    int size = 0;
    for (int at = starts[document]; at < starts[document + 1]; ) {
      int term = VInt.read(postings, at);
      at += VInt.length(term);
      int impact = VInt.read(postings, at);
      at += VInt.length(impact);
      if (size == heaviest.length) {
        heaviest = Arrays.copyOf(heaviest, size * 2);
      }
      heaviest[size++] = (long) -impact << 32 | term;
    }
    Arrays.sort(heaviest, 0, size);
    int[] terms = new int[Math.min(size, count)];
    for (int i = 0; i < terms.length; i++) {
      terms[i] = (int) heaviest[i];
    }
    Arrays.sort(terms);
    return terms;
  }
}
