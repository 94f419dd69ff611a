package io.spladelucene;

import io.anserini.analysis.AnalyzerUtils;
import io.anserini.analysis.DefaultEnglishAnalyzer;
import io.anserini.search.query.BagOfWordsQueryGenerator;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
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
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/** An open index of texts, searched with BM25 as Anserini does it: its English analyzer, its queries, its rule for ties. */
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

  public Bm25Index(String index, float k1, float b) throws IOException {
    reader = DirectoryReader.open(FSDirectory.open(Path.of(index)));
    searcher = new IndexSearcher(reader);
    searcher.setSimilarity(new BM25Similarity(k1, b));
  }

  /** Whether the norms are lengths of texts; those of an impact index are all 1, whatever its frequencies sum up to. */
  public boolean holdsTexts() throws IOException {
    Terms terms = MultiTerms.getTerms(reader, Fields.CONTENTS);
    if (terms == null) {
      return reader.maxDoc() == 0 || FieldInfos.getMergedFieldInfos(reader).fieldInfo(Fields.CONTENTS) != null;
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

  /** What the analyzer makes of texts. The batch: int count; per text: text. Per text: int tokens; per token: token. */
  public byte[] analyze(byte[] batch) {
    Packed in = new Packed(batch);
    Packed.Writer out = new Packed.Writer();
    for (int left = in.readInt(); left > 0; left--) {
      List<String> tokens = AnalyzerUtils.analyze(analyzer, in.readString());
      out.writeInt(tokens.size());
      tokens.forEach(out::writeString);
    }
    return out.toByteArray();
  }

  /** The stored field {@code raw} of a document; {@code null} if it has none, or there is no such document. */
  public String raw(String docid) throws IOException {
    ScoreDoc[] found = searcher.search(new TermQuery(new Term(Fields.ID, docid)), 1).scoreDocs;
    return found.length == 0 ? null : reader.storedFields().document(found[0].doc, Set.of(Fields.RAW)).get(Fields.RAW);
  }

  /**
   * Searches for a batch of queries.
   *
   * @param batch int count; per query: text
   * @return per query: int hits; float[hits] scores; int length, and that many bytes: the docids, a NUL between each two
   */
  public byte[] search(byte[] batch, int k, int threads) throws Exception {
    Packed in = new Packed(batch);
    List<Callable<Packed.Writer>> searches = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      String text = in.readString();
      searches.add(() -> search(text, k));
    }
    Packed.Writer out = new Packed.Writer();
    if (threads == 1 || searches.size() == 1) {
      for (Callable<Packed.Writer> each : searches) {
        out.writeRaw(each.call().toByteArray());
      }
      return out.toByteArray();
    }
    try (ExecutorService pool = Executors.newFixedThreadPool(Math.min(threads, Math.max(1, searches.size())))) {
      for (Future<Packed.Writer> each : pool.invokeAll(searches)) {
        out.writeRaw(each.get().toByteArray());
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
    return out.toByteArray();
  }

  private Packed.Writer search(String text, int k) throws IOException {
    Query query = generator.buildQuery(Fields.CONTENTS, analyzer, text);
    ScoreDoc[] hits = searcher.search(query, k, ORDER).scoreDocs;
    Packed.Writer scores = new Packed.Writer();
    Packed.Writer docids = new Packed.Writer();
    for (int i = 0; i < hits.length; i++) {
      Object[] sortedBy = ((FieldDoc) hits[i]).fields;
      scores.writeInt(Float.floatToIntBits((Float) sortedBy[0]));
      if (i > 0) {
        docids.writeRaw(new byte[1]);
      }
      BytesRef docid = (BytesRef) sortedBy[1];
      docids.writeRaw(docid.bytes, docid.offset, docid.length);
    }
    Packed.Writer out = new Packed.Writer();
    out.writeInt(hits.length);
    out.writeRaw(scores.toByteArray());
    out.writeInt(docids.size());
    out.writeRaw(docids.toByteArray());
    return out;
  }

  @Override
  public void close() throws IOException {
    reader.close();
  }
}
