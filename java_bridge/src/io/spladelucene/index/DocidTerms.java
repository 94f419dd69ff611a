package io.spladelucene.index;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.util.BytesRef;

/** The field {@code id} of an {@link InvertedSegment}: each docid is a term of one document. */
final class DocidTerms extends SortedTerms {
  private final int[] documents; // by rank of the docid

  private DocidTerms(BytesRef[] sorted, int[] documents) {
    super(sorted, false);
    this.documents = documents;
  }

  /** Sorts distinct docids, which are given by document. */
  static DocidTerms of(BytesRef[] docids) {
    Integer[] order = IntStream.range(0, docids.length).boxed().toArray(Integer[]::new);
    Arrays.parallelSort(order, Comparator.comparing(document -> docids[document]));
    int[] documents = Arrays.stream(order).mapToInt(Integer::intValue).toArray();
    return new DocidTerms(
        Arrays.stream(documents).mapToObj(document -> docids[document]).toArray(BytesRef[]::new),
        documents);
  }

  @Override
  int docFreq(int rank) {
    return 1;
  }

  @Override
  long totalTermFreq(int rank) {
    return 1;
  }

  @Override
  PostingsEnum postings(int rank) {
    return new OnePosting(documents[rank]);
  }

  @Override
  public long getSumTotalTermFreq() {
    return documents.length;
  }

  @Override
  public long getSumDocFreq() {
    return documents.length;
  }

  @Override
  public int getDocCount() {
    return documents.length;
  }

  private static final class OnePosting extends SequentialPostings {
    private final int only;

    OnePosting(int only) {
      this.only = only;
    }

    @Override
    public int freq() {
      return 1;
    }

    @Override
    public int nextDoc() {
      return doc = doc < 0 ? only : NO_MORE_DOCS;
    }

    @Override
    public long cost() {
      return 1;
    }
  }
}
