package io.spladelucene.bm25;

import io.anserini.analysis.AnalyzerUtils;
import io.spladelucene.index.AnseriniFormat;
import io.spladelucene.index.Fields;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedWriter;
import java.io.Closeable;
import java.io.IOException;
import java.util.List;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FieldInfos;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.Directory;

/**
 * An open index of texts, which is searched with BM25 as Anserini does. For any number of threads.
 *
 * <p>BM25 is that of Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and
 * Beyond, 2009, in Lucene's variant ({@link BM25Similarity}).
 */
public final class Bm25Index implements Closeable {
  private final DirectoryReader reader;
  private final Bm25Queries queries;

  /** Opens an index, to be searched with BM25's parameters k1 and b. */
  public Bm25Index(Directory index, float k1, float b) throws IOException {
    reader = DirectoryReader.open(index);
    queries = new Bm25Queries(reader, Fields.CONTENTS, k1, b);
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
      List<String> tokens = AnalyzerUtils.analyze(AnseriniFormat.ANALYZER, text);
      out.writeInt(tokens.size());
      tokens.forEach(out::writeString);
    }
    return out.toByteArray();
  }

  /** The lucene_docid of the document with a docid; -1 if there is none. */
  public int luceneDocid(String docid) throws IOException {
    TermQuery query = new TermQuery(new Term(Fields.ID, docid));
    ScoreDoc[] found = queries.lucene().search(query, 1).scoreDocs;
    return found.length == 0 ? -1 : found[0].doc;
  }

  /** As {@link ImpactIndexReader#raw}. */
  public byte[] raw(byte[] luceneDocids) throws IOException {
    return ImpactIndexReader.raw(reader, luceneDocids);
  }

  /** See {@link Bm25Queries#search}. */
  public byte[] search(byte[] texts, int k, int threads) throws Exception {
    return queries.search(texts, k, threads);
  }

  @Override
  public void close() throws IOException {
    reader.close();
  }
}
