package io.spladelucene.index;

import io.spladelucene.postings.InvertedBlock;
import java.io.IOException;
import java.util.Arrays;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.tokenattributes.TermToBytesRefAttribute;

/**
 * Splits texts into terms, as {@link AnseriniFormat#ANALYZER} does, and adds them to the blocks of
 * a build. For one thread at a time.
 */
final class TextTerms {
  private TermDictionary dictionary;
  private TermDictionary.Cache terms;
  private int[] ids = new int[1024];

  TextTerms(TermDictionary dictionary) {
    begin(dictionary);
  }

  /** Numbers terms by a dictionary from now on. No document has begun. */
  void begin(TermDictionary newest) {
    if (newest != dictionary) {
      dictionary = newest;
      terms = new TermDictionary.Cache(newest);
    }
  }

  /** The dictionary that numbers the terms. */
  TermDictionary dictionary() {
    return dictionary;
  }

  /** Adds the terms of a text to the document of a builder that has not ended. */
  void add(String text, InvertedBlock.Builder out) {
    int size = 0;
    try (TokenStream tokens = AnseriniFormat.ANALYZER.tokenStream(Fields.BM25, text)) {
      TermToBytesRefAttribute term = tokens.getAttribute(TermToBytesRefAttribute.class);
      tokens.reset();
      while (tokens.incrementToken()) {
        if (size == ids.length) {
          ids = Arrays.copyOf(ids, size * 2);
        }
        ids[size++] = terms.idOf(term.getBytesRef());
      }
      tokens.end();
    } catch (IOException e) {
      throw new IllegalStateException("a text in memory cannot be read", e);
    }
    Arrays.sort(ids, 0, size);
    int from = 0;
    for (int to = 1; to <= size; to++) {
      if (to == size || ids[to] != ids[from]) {
        out.addTextTerm(ids[from], to - from);
        from = to;
      }
    }
  }
}
