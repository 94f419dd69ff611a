package io.spladelucene.search;

import io.spladelucene.wire.ImpactQuery;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.apache.lucene.util.BytesRef;

/**
 * RM3 feedback, as Anserini's {@code Rm3Reranker} computes it: the query, interpolated with the
 * mean of the first hits' vectors, each of them weighted by its hit's score. The weights of each
 * vector add up to 1.
 *
 * @param terms the number of terms that are kept, of each hit and of the mean
 * @param topDocs the number of hits
 * @param queryWeight the weight of the query, 0 to 1
 * @param plainTerms whether only terms of the letters a to z and digits count
 * @param allTerms whether terms of any length and frequency count
 */
record Rm3(int terms, int topDocs, float queryWeight, boolean plainTerms, boolean allTerms)
    implements Feedback {

  @Override
  public int bottomDocs() {
    return 0;
  }

  @Override
  public boolean accepts(BytesRef term) {
    return (!plainTerms || isPlain(term)) && (allTerms || Feedback.hasUsualLength(term));
  }

  private static boolean isPlain(BytesRef term) {
    for (int i = term.offset; i < term.offset + term.length; i++) {
      byte b = term.bytes[i];
      if (!('a' <= b && b <= 'z' || '0' <= b && b <= '9')) {
        return false;
      }
    }
    return term.length > 0;
  }

  @Override
  public FeatureVector expand(
      ImpactQuery query, List<Hit> top, List<Hit> bottom, Predicate<BytesRef> keeps) {
    FeatureVector original = sumOfOne(new FeatureVector(query));
    FeatureVector relevant = new FeatureVector();
    for (Hit hit : top) {
      ImpactQuery vector = Feedback.kept(hit.vector(), keeps).heaviest(terms);
      float sum = Arrays.stream(vector.impacts()).asLongStream().sum();
      for (int i = 0; i < vector.size(); i++) {
        relevant.add(vector.terms()[i], vector.impacts()[i] / sum * hit.score());
      }
    }
    sumOfOne(relevant.prune(terms));
    FeatureVector expanded = new FeatureVector();
    for (FeatureVector each : List.of(original, relevant)) {
      for (BytesRef term : each.terms()) {
        double ofQuery = queryWeight * original.get(term);
        expanded.set(term, (float) (ofQuery + (1.0 - queryWeight) * relevant.get(term)));
      }
    }
    return expanded;
  }

  private static FeatureVector sumOfOne(FeatureVector vector) {
    return vector.divideBy(vector.sum());
  }
}
