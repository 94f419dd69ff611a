package io.spladelucene.wire;

import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.util.BytesRef;

/** A batch of weighted queries. */
public final class PackedQueries {
  private PackedQueries() {}

  /**
   * Reads the queries.
   *
   * @param batch int count; per query: int terms, int[terms] impacts, int[terms] lengths, the terms
   *     in UTF-8, end to end
   */
  public static List<ImpactQuery> read(byte[] batch) {
    List<ImpactQuery> queries = new ArrayList<>();
    PackedReader.records(batch, PackedQueries::readQuery).forEach(queries::add);
    return queries;
  }

  /** Writes queries as {@link #read} reads them. */
  public static void write(List<ImpactQuery> queries, PackedWriter out) {
    out.writeInt(queries.size());
    for (ImpactQuery query : queries) {
      out.writeInt(query.size());
      for (int impact : query.impacts()) {
        out.writeInt(impact);
      }
      for (BytesRef term : query.terms()) {
        out.writeInt(term.length);
      }
      for (BytesRef term : query.terms()) {
        out.writeRaw(term);
      }
    }
  }

  private static ImpactQuery readQuery(PackedReader in) {
    int size = in.readInt();
    int[] impacts = new int[size];
    for (int i = 0; i < size; i++) {
      impacts[i] = in.readInt();
    }
    int[] lengths = new int[size];
    for (int i = 0; i < size; i++) {
      lengths[i] = in.readInt();
    }
    BytesRef[] terms = new BytesRef[size];
    for (int i = 0; i < size; i++) {
      terms[i] = in.readBytes(lengths[i]);
    }
    return new ImpactQuery(terms, impacts);
  }
}
