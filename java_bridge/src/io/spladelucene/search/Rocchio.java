package io.spladelucene.search;

import io.spladelucene.wire.ImpactQuery;
import java.util.List;
import java.util.function.Predicate;
import org.apache.lucene.util.BytesRef;

/**
 * Rocchio's feedback, as Anserini's {@code RocchioReranker} computes it: the sum of the query, of
 * the mean of the first hits' vectors and, subtracted, of the mean of the last hits' vectors. Each
 * vector has length 1, and of a mean the terms with the largest weights are kept.
 *
 * @param bottomDocs 0: without the last hits
 * @param alpha the weight of the query
 * @param beta the weight of the first hits
 * @param gamma the weight of the last hits
 * @param allTerms whether terms of any length and frequency count
 */
record Rocchio(
    int topTerms,
    int topDocs,
    int bottomTerms,
    int bottomDocs,
    float alpha,
    float beta,
    float gamma,
    boolean allTerms)
    implements Feedback {

  @Override
  public boolean accepts(BytesRef term) {
    return allTerms || Feedback.hasUsualLength(term);
  }

  @Override
  public FeatureVector expand(
      ImpactQuery query, List<Hit> top, List<Hit> bottom, Predicate<BytesRef> keeps) {
    FeatureVector original = unit(new FeatureVector(query));
    FeatureVector relevant = mean(top, topTerms, keeps);
    FeatureVector other = mean(bottom, bottomTerms, keeps);
    FeatureVector expanded = new FeatureVector();
    for (FeatureVector each : List.of(original, relevant)) {
      for (BytesRef term : each.terms()) {
        float weight =
            alpha * original.get(term) + beta * relevant.get(term) - gamma * other.get(term);
        if (weight > 0) {
          expanded.set(term, weight);
        }
      }
    }
    return expanded;
  }

  private static FeatureVector mean(List<Hit> hits, int terms, Predicate<BytesRef> keeps) {
    FeatureVector sum = new FeatureVector();
    for (Hit hit : hits) {
      ImpactQuery vector = Feedback.kept(hit.vector(), keeps);
      double squares = 0;
      for (int impact : vector.impacts()) {
        squares += (double) impact * impact;
      }
      float length = (float) Math.sqrt(squares);
      for (int i = 0; i < vector.size(); i++) {
        sum.add(vector.terms()[i], vector.impacts()[i] / length);
      }
    }
    return unit(sum.divideBy(hits.size()).prune(terms));
  }

  private static FeatureVector unit(FeatureVector vector) {
    return vector.divideBy(vector.length());
  }
}
