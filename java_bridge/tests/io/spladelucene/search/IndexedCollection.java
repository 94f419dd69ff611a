package io.spladelucene.search;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.index.ImpactIndexWriter;
import io.spladelucene.wire.ImpactQuery;
import io.spladelucene.wire.PackedHits;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import org.apache.lucene.store.ByteBuffersDirectory;

/** Documents and an index of them in memory. */
final class IndexedCollection implements Closeable {
  /** A hit. */
  record Hit(String docid, long score) {}

  final List<Doc> documents; // those that are not deleted
  final ImpactIndexReader reader;

  private IndexedCollection(List<Doc> documents, ImpactIndexReader reader) {
    this.documents = documents;
    this.reader = reader;
  }

  /**
   * Indexes documents.
   *
   * @param segments the number of commits; after a single one the segments are merged
   * @param deleted which documents are deleted
   */
  static IndexedCollection of(List<Doc> documents, int segments, Predicate<Doc> deleted)
      throws IOException {
    ByteBuffersDirectory directory = new ByteBuffersDirectory();
    List<Doc> kept = documents.stream().filter(deleted.negate()).toList();
    try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
      int size = (documents.size() + segments - 1) / segments;
      for (int from = 0; from < documents.size(); from += size) {
        int to = Math.min(documents.size(), from + size);
        writer.put(RandomCollection.pack(documents.subList(from, to)));
        writer.commit(new byte[0]);
      }
      if (segments == 1) {
        writer.merge();
      }
      List<String> docids = documents.stream().filter(deleted).map(Doc::docid).toList();
      writer.delete(RandomCollection.packStrings(docids));
      writer.commit(new byte[0]);
    }
    return new IndexedCollection(kept, new ImpactIndexReader(directory));
  }

  /** The best k of some documents, by definition. */
  static List<Hit> exhaustiveSearch(List<Doc> documents, ImpactQuery query, int k) {
    List<Hit> hits = new ArrayList<>();
    for (Doc document : documents) {
      long score = document.score(query);
      if (score > 0) {
        hits.add(new Hit(document.docid(), score));
      }
    }
    hits.sort(Comparator.comparingLong(Hit::score).reversed().thenComparing(Hit::docid));
    return hits.subList(0, Math.min(k, hits.size()));
  }

  /** The hits of a search, and its profile. */
  record Found(List<Hit> hits, Profile profile) {}

  /** Searches with a searcher. */
  Found search(
      ImpactSearcher searcher,
      ImpactQuery query,
      int k,
      SearchSettings settings,
      DocumentFilter filter)
      throws Exception {
    return search(searcher, query, k, settings, filter, Cancellation.NEVER);
  }

  /** Searches with a searcher, unless that is cancelled. */
  Found search(
      ImpactSearcher searcher,
      ImpactQuery query,
      int k,
      SearchSettings settings,
      DocumentFilter filter,
      Cancellation cancellation)
      throws Exception {
    return searcher
        .search(
            List.of(query),
            k,
            1,
            settings,
            filter,
            cancellation,
            result -> {
              TopHits top = result.hits();
              // What Python gets has the same docids.
              PackedHits.pack(top, searcher.docids(), result.profile().counters());
              List<Hit> hits = new ArrayList<>();
              for (int rank = 0; rank < top.size(); rank++) {
                hits.add(new Hit(docid(top.luceneDocid(rank)), top.score(rank)));
              }
              return new Found(hits, result.profile());
            })
        .get(0);
  }

  private String docid(int luceneDocid) {
    try {
      return reader.docid(luceneDocid);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() throws IOException {
    reader.close();
  }
}
