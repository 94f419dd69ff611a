package io.spladelucene.index;

import io.spladelucene.postings.InvertedBlock;
import java.util.BitSet;

/**
 * The terms of the texts that a build has not written yet. There are far more of them than of
 * impacts, so that after each segment a new dictionary begins. Workers that are busy then still
 * number the terms of their block by an earlier one.
 *
 * <p>Its size is that of the terms of blocks that were added, whatever workers have read ahead:
 * where a segment ends does not depend on them.
 */
final class TextDictionary {
  private static final int TERM_BYTES = 120; // the objects of a term in a TermDictionary

  private volatile TermDictionary current = new TermDictionary();
  private final BitSet added = new BitSet(); // by term id
  private long bytes = 0;

  /** The dictionary that numbers the terms of blocks which are begun now. */
  TermDictionary current() {
    return current;
  }

  /**
   * Adds the terms of a block's texts.
   *
   * @param dictionary that has numbered them
   * @return the block, with the terms as the current dictionary numbers them
   */
  InvertedBlock add(InvertedBlock block, TermDictionary dictionary) {
    InvertedBlock numbered =
        dictionary == current
            ? block
            : block.withTextTerms(current.idsOf(dictionary, block.texts.termIds));
    for (int id : numbered.texts.termIds) {
      if (!added.get(id)) {
        added.set(id);
        bytes += TERM_BYTES + current.term(id).length;
      }
    }
    return numbered;
  }

  /** An estimate of the memory of the terms that were added. */
  long bytes() {
    return bytes;
  }

  /** Begins a new dictionary. The blocks that were added must have been written. */
  void renew() {
    current = new TermDictionary();
    added.clear();
    bytes = 0;
  }
}
