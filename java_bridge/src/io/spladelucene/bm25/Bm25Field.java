package io.spladelucene.bm25;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.search.Cancellation;
import io.spladelucene.search.DocumentFilter;
import io.spladelucene.search.FilteredReader;
import java.io.IOException;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.FieldInfos;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;

/** The field {@link Fields#BM25} of an impact index: the texts, which are searched with BM25. */
final class Bm25Field {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Bm25Field() {}

  /** Whether any document has the field, with frequencies and lengths. */
  static boolean isIn(ImpactIndexReader index) {
    FieldInfo field = FieldInfos.getMergedFieldInfos(index.lucene()).fieldInfo(Fields.BM25);
    return field != null
        && field.hasNorms()
        && field.getIndexOptions().compareTo(IndexOptions.DOCS_AND_FREQS) >= 0;
  }

  /**
   * As JSON: documents with a term, terms, postings, and tokens: the length of all texts. Deleted
   * documents count until a merge.
   */
  static String statistics(ImpactIndexReader index) throws IOException {
    Terms terms = MultiTerms.getTerms(index.lucene(), Fields.BM25);
    long distinct = 0;
    if (terms != null) {
      for (TermsEnum each = terms.iterator(); each.next() != null; ) {
        distinct++;
      }
    }
    return JSON.createObjectNode()
        .put("documents", terms == null ? 0 : terms.getDocCount())
        .put("terms", distinct)
        .put("postings", terms == null ? 0 : terms.getSumDocFreq())
        .put("tokens", terms == null ? 0 : terms.getSumTotalTermFreq())
        .toString();
  }

  /**
   * Searches for queries, as {@link Bm25Queries#search}.
   *
   * @param filter the documents that may be hits; {@code null}: all
   * @param cancellation what may stop the search; {@code null}: nothing
   */
  static byte[] search(
      ImpactIndexReader index,
      byte[] texts,
      int k,
      float k1,
      float b,
      int threads,
      DocumentFilter filter,
      Cancellation cancellation)
      throws Exception {
    if (filter == null) {
      return queries(index.lucene(), k1, b, cancellation).search(texts, k, threads);
    }
    try (FilteredReader filtered = new FilteredReader(index.lucene(), filter)) {
      return queries(filtered, k1, b, cancellation).search(texts, k, threads);
    }
  }

  private static Bm25Queries queries(
      IndexReader reader, float k1, float b, Cancellation cancellation) {
    Bm25Queries queries = new Bm25Queries(reader, Fields.BM25, k1, b);
    if (cancellation != null) {
      queries.stopWith(cancellation);
    }
    return queries;
  }
}
