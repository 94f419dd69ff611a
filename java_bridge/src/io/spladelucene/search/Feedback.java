package io.spladelucene.search;

import io.spladelucene.wire.ImpactQuery;
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

  /** A term in a larger share of the documents is not added to a query. */
  float commonShare();

  /**
   * Expands a query.
   *
   * @param top the best hits, in order
   * @param bottom the last hits, in reverse order
   * @param keeps which of their terms count
   */
  FeatureVector expand(
      ImpactQuery query, List<Hit> top, List<Hit> bottom, Predicate<BytesRef> keeps);

  /** Anserini's rule: a term is 2 to 20 characters long, as those of texts are. */
  static boolean hasUsualLength(BytesRef term) {
    int length = term.length <= 1 ? term.length : term.utf8ToString().length();
    return 2 <= length && length <= 20;
  }
}
