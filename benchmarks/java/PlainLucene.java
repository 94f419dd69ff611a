import io.anserini.search.similarity.ImpactSimilarity;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.TopDocs;
import org.apache.lucene.store.FSDirectory;

/**
 * Lucene called directly: a disjunction of boosted terms, the k best by score, no docid looked up. Arguments: index, file of
 * queries (a line each: term, TAB, impact, TAB …), k, rounds. Prints the milliseconds of each query in the best round, and the
 * score of its last hit.
 */
public class PlainLucene {
  public static void main(String[] args) throws Exception {
    int k = Integer.parseInt(args[2]);
    int rounds = Integer.parseInt(args[3]);
    List<Query> queries = new ArrayList<>();
    for (String line : Files.readAllLines(Path.of(args[1]))) {
      BooleanQuery.Builder query = new BooleanQuery.Builder();
      String[] parts = line.split("\t");
      for (int i = 0; i < parts.length; i += 2) {
        Query term = new TermQuery(new Term("contents", parts[i]));
        query.add(new BoostQuery(term, Float.parseFloat(parts[i + 1])), BooleanClause.Occur.SHOULD);
      }
      queries.add(query.build());
    }
    IndexSearcher searcher = new IndexSearcher(DirectoryReader.open(FSDirectory.open(Path.of(args[0]))));
    searcher.setSimilarity(new ImpactSimilarity());
    double[] best = null;
    double[] last = new double[queries.size()];
    double bestSum = Double.MAX_VALUE;
    for (int round = 0; round < rounds; round++) {
      double[] times = new double[queries.size()];
      double sum = 0;
      for (int i = 0; i < times.length; i++) {
        long start = System.nanoTime();
        TopDocs found = searcher.search(queries.get(i), k);
        times[i] = (System.nanoTime() - start) / 1e6;
        sum += times[i];
        last[i] = found.scoreDocs.length == 0 ? 0 : found.scoreDocs[found.scoreDocs.length - 1].score;
      }
      if (sum < bestSum) {
        bestSum = sum;
        best = times;
      }
    }
    for (int i = 0; i < best.length; i++) {
      System.out.println(best[i] + "\t" + last[i]);
    }
  }
}
