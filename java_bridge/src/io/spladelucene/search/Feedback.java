package io.spladelucene.search;

import io.spladelucene.wire.ImpactQuery;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.apache.lucene.util.BytesRef;

/** A method of pseudo-relevance feedback: makes a new query of a query and its hits. */
public interface Feedback {
  /**
   * A hit that is taken for relevant, or for not relevant.
   *
   * @param vector the document's terms and impacts
   */
  record Hit(ImpactQuery vector, long score) {}

  /** The number of best hits that are taken for relevant. */
  int topDocs();

  /** The number of last hits that are taken for not relevant; 0: they do not matter. */
  int bottomDocs();

  /** Whether a term may be added to a query, if {@link #commonShare} does not forbid it. */
  boolean accepts(BytesRef term);

  /** Whether terms of any length and frequency may be added to a query. */
  boolean allTerms();

  /** A term in a larger share of the documents is not added to a query. */
  default float commonShare() {
    return allTerms() ? Float.POSITIVE_INFINITY : 0.1f;
  }

  /**
   * Expands a query.
   *
   * @param top the best hits, in order
   * @param bottom the last hits, in reverse order
   * @param keeps which of their terms count
   */
  FeatureVector expand(
      ImpactQuery query, List<Hit> top, List<Hit> bottom, Predicate<BytesRef> keeps);

  /** Anserini's rule: a term is 2 to 20 characters of UTF-16 long, as those of texts are. */
  static boolean hasUsualLength(BytesRef term) {
    int length = 0;
    for (int i = term.offset; i < term.offset + term.length; i++) {
      int b = term.bytes[i] & 0xFF;
      if (b < 0x80 || b >= 0xC0) { // the first byte of a character
        length += b >= 0xF0 ? 2 : 1;
      }
    }
    return 2 <= length && length <= 20;
  }

  /** Those terms of a document that count, with their impacts, in their order. */
  static ImpactQuery kept(ImpactQuery vector, Predicate<BytesRef> keeps) {
    ImpactQuery kept = new ImpactQuery(vector.terms().clone(), vector.impacts().clone());
    int size = 0;
    for (int i = 0; i < vector.size(); i++) {
      if (keeps.test(vector.terms()[i])) {
        kept.terms()[size] = vector.terms()[i];
        kept.impacts()[size++] = vector.impacts()[i];
      }
    }
    return new ImpactQuery(Arrays.copyOf(kept.terms(), size), Arrays.copyOf(kept.impacts(), size));
  }
}
