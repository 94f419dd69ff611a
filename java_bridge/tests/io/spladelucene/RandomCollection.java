package io.spladelucene;

import io.spladelucene.wire.ImpactQuery;
import io.spladelucene.wire.PackedWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.lucene.util.BytesRef;

/** Random documents of impacts, packed as Python would pack them, and their scores. */
public final class RandomCollection {
  private RandomCollection() {}

  /** A document. */
  public record Doc(String docid, TreeMap<String, Integer> vector) {
    /** The score for a query, by definition. */
    public long score(ImpactQuery query) {
      long score = 0;
      for (int i = 0; i < query.size(); i++) {
        int impact = vector.getOrDefault(query.terms()[i].utf8ToString(), 0);
        score += (long) query.impacts()[i] * impact;
      }
      return score;
    }
  }

  /**
   * Draws documents with distinct docids, which are not in order. Some terms are in many documents,
   * most are in few.
   */
  public static List<Doc> documents(
      Random random, int count, int vocabulary, int terms, int largestImpact) {
    List<Doc> documents = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      documents.add(new Doc("d" + i, vector(random, vocabulary, terms, largestImpact)));
    }
    Collections.shuffle(documents, random);
    return documents;
  }

  /** Draws a vector with 1 to {@code terms} terms. */
  public static TreeMap<String, Integer> vector(
      Random random, int vocabulary, int terms, int largestImpact) {
    TreeMap<String, Integer> vector = new TreeMap<>();
    for (int left = 1 + random.nextInt(terms); left > 0; left--) {
      double draw = random.nextDouble();
      int impact = 1 + (int) (Math.pow(random.nextDouble(), 3) * largestImpact);
      vector.put("t" + (int) (draw * draw * draw * vocabulary), Math.min(largestImpact, impact));
    }
    return vector;
  }

  /** A query with the terms and impacts of a vector. */
  public static ImpactQuery query(Map<String, Integer> vector) {
    return new ImpactQuery(
        vector.keySet().stream().map(BytesRef::new).toArray(BytesRef[]::new),
        vector.values().stream().mapToInt(Integer::intValue).toArray());
  }

  /** A batch for {@code PackedDocuments.readImpactDocuments}. */
  public static byte[] pack(List<Doc> documents) {
    PackedWriter out = new PackedWriter();
    out.writeInt(documents.size());
    for (Doc document : documents) {
      out.writeString(document.docid());
      out.writeString(null);
      out.writeString(null);
      out.writeInt(document.vector().size());
      document
          .vector()
          .forEach(
              (term, impact) -> {
                out.writeInt(impact);
                out.writeString(term);
              });
      out.writeString(null);
    }
    return out.toByteArray();
  }

  /** A batch for {@code PackedLists.readStrings}. */
  public static byte[] packStrings(Collection<String> strings) {
    PackedWriter out = new PackedWriter();
    out.writeInt(strings.size());
    strings.forEach(out::writeString);
    return out.toByteArray();
  }

  /** A line of a file of pseudo-documents. */
  public static String line(Doc document) {
    StringBuilder vector = new StringBuilder();
    document
        .vector()
        .forEach(
            (term, impact) ->
                vector.append(vector.isEmpty() ? "" : ", ").append("\"" + term + "\": " + impact));
    return "{\"id\": \""
        + document.docid()
        + "\", \"contents\": \"\", \"vector\": {"
        + vector
        + "}}";
  }

  /** Lines of a file of pseudo-documents. */
  public static byte[] lines(List<Doc> documents) {
    StringBuilder text = new StringBuilder();
    documents.forEach(document -> text.append(line(document)).append('\n'));
    return text.toString().getBytes(StandardCharsets.UTF_8);
  }
}
