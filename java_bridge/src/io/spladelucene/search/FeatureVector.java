package io.spladelucene.search;

import io.spladelucene.wire.ImpactQuery;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.util.BytesRef;

/** Weighted terms, in single precision as in Anserini's class of this name. */
public final class FeatureVector {
  // The impacts of an expanded query add up to at most this much. So its scores fit into an int if
  // no impact of a document is above 510, and weights keep 19 bits or more.
  private static final int TOTAL = 1 << 22;

  private static final Comparator<Map.Entry<BytesRef, Float>> LARGEST_FIRST =
      Map.Entry.<BytesRef, Float>comparingByValue(Comparator.reverseOrder())
          .thenComparing(Map.Entry.comparingByKey());

  private final Map<BytesRef, Float> weights = new HashMap<>();

  /** No terms. */
  FeatureVector() {}

  /** The terms of a query, with their impacts as weights. */
  FeatureVector(ImpactQuery query) {
    for (int i = 0; i < query.size(); i++) {
      weights.put(query.terms()[i], (float) query.impacts()[i]);
    }
  }

  /** The terms. */
  Iterable<BytesRef> terms() {
    return weights.keySet();
  }

  /** The weight of a term; 0 if it is not there. */
  float get(BytesRef term) {
    return weights.getOrDefault(term, 0f);
  }

  /** Sets the weight of a term. */
  void set(BytesRef term, float weight) {
    weights.put(term, weight);
  }

  /** Adds to the weight of a term. */
  void add(BytesRef term, float weight) {
    weights.merge(term, weight, Float::sum);
  }

  /** Keeps the largest weights; among equal ones the smaller terms. */
  FeatureVector prune(int size) {
    if (size < weights.size()) {
      double[] ascending = weights.values().stream().mapToDouble(Float::doubleValue).toArray();
      Arrays.sort(ascending);
      float least = (float) ascending[ascending.length - size];
      weights.values().removeIf(weight -> weight < least); // few are left, so sorting is cheap
      List<Map.Entry<BytesRef, Float>> sorted = sorted();
      weights.clear();
      sorted.subList(0, size).forEach(each -> weights.put(each.getKey(), each.getValue()));
    }
    return this;
  }

  private List<Map.Entry<BytesRef, Float>> sorted() {
    List<Map.Entry<BytesRef, Float>> sorted = new ArrayList<>();
    weights.forEach((term, weight) -> sorted.add(Map.entry(term, weight)));
    sorted.sort(LARGEST_FIRST);
    return sorted;
  }

  /** The sum of the weights. */
  double sum() {
    double sum = 0;
    for (Map.Entry<BytesRef, Float> each : sorted()) { // in a fixed order: sums are rounded
      sum += Math.abs(each.getValue());
    }
    return sum;
  }

  /** The Euclidean length. */
  double length() {
    double sum = 0;
    for (Map.Entry<BytesRef, Float> each : sorted()) {
      sum += (double) each.getValue() * each.getValue();
    }
    return Math.sqrt(sum);
  }

  /** Divides all weights. */
  FeatureVector divideBy(double divisor) {
    weights.replaceAll((term, weight) -> (float) (weight / divisor));
    return this;
  }

  /**
   * The query with these weights: integers in their proportion, the largest first. The total of all
   * impacts is as large as can be searched fast; terms whose impact would be 0 are left out.
   */
  ImpactQuery toQuery() {
    double scale = TOTAL / sum();
    List<BytesRef> terms = new ArrayList<>();
    List<Integer> impacts = new ArrayList<>();
    for (Map.Entry<BytesRef, Float> each : sorted()) {
      int impact = (int) Math.rint(each.getValue() * scale);
      if (impact > 0) {
        terms.add(each.getKey());
        impacts.add(impact);
      }
    }
    return new ImpactQuery(
        terms.toArray(BytesRef[]::new), impacts.stream().mapToInt(Integer::intValue).toArray());
  }
}
