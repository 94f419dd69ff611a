package io.spladelucene;

import io.anserini.analysis.AnalyzerUtils;
import io.anserini.analysis.DefaultEnglishAnalyzer;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.Sort;
import org.apache.lucene.search.SortField;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/** The baseline: BM25 over the same texts with Anserini's English analyzer and its defaults, k1 = 0.9 and b = 0.4. */
public final class Bm25Index implements Closeable {
  private static final BM25Similarity BM25 = new BM25Similarity(0.9f, 0.4f);
  private static final Sort ORDER =
      new Sort(SortField.FIELD_SCORE, new SortField(Fields.ID, SortField.Type.STRING_VAL));

  private final DirectoryReader reader;
  private final IndexSearcher searcher;
  private final Analyzer analyzer = DefaultEnglishAnalyzer.newDefaultInstance();

  public Bm25Index(String index) throws IOException {
    reader = DirectoryReader.open(FSDirectory.open(Path.of(index)));
    searcher = new IndexSearcher(reader);
    searcher.setSimilarity(BM25);
  }

  /** Writes an index of texts. The batch: int count; per document: docid, text. */
  public static void write(String index, byte[] batch) throws IOException {
    IndexWriterConfig config = new IndexWriterConfig(DefaultEnglishAnalyzer.newDefaultInstance());
    config.setSimilarity(BM25);
    config.setOpenMode(IndexWriterConfig.OpenMode.CREATE);
    FieldType counts = new FieldType();
    counts.setTokenized(true);
    counts.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    Packed in = new Packed(batch);
    try (IndexWriter writer = new IndexWriter(FSDirectory.open(Path.of(index)), config)) {
      for (int left = in.readInt(); left > 0; left--) {
        String docid = in.readString();
        Document document = new Document();
        document.add(new StringField(Fields.ID, docid, Field.Store.YES));
        document.add(new BinaryDocValuesField(Fields.ID, new BytesRef(docid)));
        document.add(new Field(Fields.CONTENTS, in.readString(), counts));
        writer.addDocument(document);
      }
    }
  }

  /** The batch: int count; per query: text. Per query: int hits; per hit: docid, int score as the bits of a float. */
  public byte[] search(byte[] batch, int k) throws IOException {
    Packed in = new Packed(batch);
    Packed.Writer out = new Packed.Writer();
    for (int left = in.readInt(); left > 0; left--) {
      List<String> tokens = AnalyzerUtils.analyze(analyzer, in.readString());
      Map<String, Integer> counts = new LinkedHashMap<>();
      tokens.forEach(token -> counts.merge(token, 1, Integer::sum));
      BooleanQuery.Builder query = new BooleanQuery.Builder();
      counts.forEach((token, count) ->
          query.add(new BoostQuery(new TermQuery(new Term(Fields.CONTENTS, token)), count), BooleanClause.Occur.SHOULD));
      ScoreDoc[] hits = searcher.search(query.build(), k, ORDER, true).scoreDocs;
      out.writeInt(hits.length);
      for (ScoreDoc hit : hits) {
        out.writeString(searcher.storedFields().document(hit.doc).get(Fields.ID));
        out.writeInt(Float.floatToIntBits(hit.score));
      }
    }
    return out.toByteArray();
  }

  @Override
  public void close() throws IOException {
    reader.close();
  }
}
