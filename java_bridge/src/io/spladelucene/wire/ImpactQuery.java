package io.spladelucene.wire;

import java.util.Arrays;
import java.util.Comparator;
import org.apache.lucene.util.BytesRef;

/**
 * A weighted query.
 *
 * @param terms distinct terms, in UTF-8
 * @param impacts the impact of each term, at least 1
 */
public record ImpactQuery(BytesRef[] terms, int[] impacts) {
  /** The number of terms. */
  public int size() {
    return terms.length;
  }

  /**
   * The query with only its {@code count} largest impacts; among equal ones the first are kept.
   *
   * @return this query itself if it has no more terms than that
   */
  public ImpactQuery heaviest(int count) {
    if (count >= terms.length) {
      return this;
    }
    Integer[] order = new Integer[terms.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, Comparator.comparingInt(i -> -impacts[i]));
    ImpactQuery kept = new ImpactQuery(new BytesRef[count], new int[count]);
    for (int i = 0; i < count; i++) {
      kept.terms[i] = terms[order[i]];
      kept.impacts[i] = impacts[order[i]];
    }
    return kept;
  }
}
