package io.spladelucene.bm25;

import io.anserini.analysis.AnalyzerUtils;
import io.anserini.analysis.DefaultEnglishAnalyzer;
import io.anserini.search.query.BagOfWordsQueryGenerator;
import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.wire.PackedBm25Hits;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedWriter;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FieldInfos;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.search.FieldDoc;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.Sort;
import org.apache.lucene.search.SortField;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.Directory;
import org.apache.lucene.util.BytesRef;

/**
 * An open index of texts, which is searched with BM25 as Anserini does: with its English analyzer,
 * its queries, and its order of hits with equal scores. For any number of threads.
 *
 * <p>BM25 is that of Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and
 * Beyond, 2009, in Lucene's variant ({@link BM25Similarity}).
 */
public final class Bm25Index implements Closeable {
  private static final Sort ORDER =
      new Sort(SortField.FIELD_SCORE, new SortField(Fields.ID, SortField.Type.STRING_VAL));

  static {
    IndexSearcher.setMaxClauseCount(Integer.MAX_VALUE); // a whole document may be a query
  }

  private final DirectoryReader reader;
  private final IndexSearcher searcher;
  private final Analyzer analyzer = DefaultEnglishAnalyzer.newDefaultInstance();
  private final BagOfWordsQueryGenerator generator = new BagOfWordsQueryGenerator();

  /** Opens an index, to be searched with BM25's parameters k1 and b. */
  public Bm25Index(Directory index, float k1, float b) throws IOException {
    reader = DirectoryReader.open(index);
    searcher = new IndexSearcher(reader);
    searcher.setSimilarity(new BM25Similarity(k1, b));
  }

  /**
   * Whether this is an index of texts, whose norms are lengths. The norms of an impact index are
   * all 1, even where the frequencies of a document sum to more.
   */
  public boolean holdsTexts() throws IOException {
    Terms terms = MultiTerms.getTerms(reader, Fields.CONTENTS);
    if (terms == null) {
      return reader.maxDoc() == 0
          || FieldInfos.getMergedFieldInfos(reader).fieldInfo(Fields.CONTENTS) != null;
    }
    if (terms.getSumTotalTermFreq() == terms.getDocCount()) {
      return true;
    }
    for (LeafReaderContext leaf : reader.leaves()) {
      NumericDocValues norms = leaf.reader().getNormValues(Fields.CONTENTS);
      while (norms != null && norms.nextDoc() != NumericDocValues.NO_MORE_DOCS) {
        if (norms.longValue() > 1) {
          return true;
        }
      }
    }
    return false;
  }

  /** The number of documents. */
  public int numDocs() {
    return reader.numDocs();
  }

  /** As {@link ImpactIndexReader#statistics}. */
  public String statistics() throws IOException {
    return ImpactIndexReader.statistics(reader);
  }

  /** As {@link ImpactIndexReader#terms}. */
  public byte[] terms() throws IOException {
    return ImpactIndexReader.terms(reader);
  }

  /**
   * The tokens into which the analyzer splits texts.
   *
   * @param texts as {@link PackedLists#readStrings} reads them
   * @return per text: int tokens, and a string for each token
   */
  public byte[] analyze(byte[] texts) {
    PackedWriter out = new PackedWriter();
    for (String text : PackedLists.readStrings(texts)) {
      List<String> tokens = AnalyzerUtils.analyze(analyzer, text);
      out.writeInt(tokens.size());
      tokens.forEach(out::writeString);
    }
    return out.toByteArray();
  }

  /** The lucene_docid of the document with a docid; -1 if there is none. */
  public int luceneDocid(String docid) throws IOException {
    ScoreDoc[] found = searcher.search(new TermQuery(new Term(Fields.ID, docid)), 1).scoreDocs;
    return found.length == 0 ? -1 : found[0].doc;
  }

  /** As {@link ImpactIndexReader#raw}. */
  public byte[] raw(byte[] luceneDocids) throws IOException {
    return ImpactIndexReader.raw(reader, luceneDocids);
  }

  /**
   * Searches for queries.
   *
   * @param texts of the queries, as {@link PackedLists#readStrings} reads them
   * @return per query: {@link PackedBm25Hits}
   */
  public byte[] search(byte[] texts, int k, int threads) throws Exception {
    List<Callable<byte[]>> searches = new ArrayList<>();
    for (String text : PackedLists.readStrings(texts)) {
      searches.add(() -> search(text, k));
    }
    PackedWriter out = new PackedWriter();
    if (threads == 1 || searches.size() <= 1) {
      for (Callable<byte[]> each : searches) {
        out.writeRaw(each.call());
      }
      return out.toByteArray();
    }
    try (ExecutorService pool = Executors.newFixedThreadPool(Math.min(threads, searches.size()))) {
      for (Future<byte[]> each : pool.invokeAll(searches)) {
        out.writeRaw(each.get());
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
    return out.toByteArray();
  }

  private byte[] search(String text, int k) throws IOException {
    Query query = generator.buildQuery(Fields.CONTENTS, analyzer, text);
    PackedBm25Hits packed = new PackedBm25Hits();
    for (ScoreDoc hit : searcher.search(query, k, ORDER).scoreDocs) {
      Object[] sortedBy = ((FieldDoc) hit).fields;
      packed.add((Float) sortedBy[0], hit.doc, (BytesRef) sortedBy[1]);
    }
    return packed.toByteArray();
  }

  @Override
  public void close() throws IOException {
    reader.close();
  }
}
