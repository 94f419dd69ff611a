package io.spladelucene.join;

import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.index.ImpactIndexWriter;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedTable;
import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/**
 * What Python calls to open several indexes as one, and to merge them. All methods are static, for
 * the reason that {@link io.spladelucene.index.IndexFacade} gives.
 */
public final class JoinFacade {
  private JoinFacade() {}

  /**
   * See {@link DuplicateDocids}.
   *
   * @param withoutTerms for each document without terms two texts: the position of its index, and
   *     its docid; as {@link PackedLists#readStrings} reads them
   */
  public static DuplicateDocids findDuplicates(ImpactIndexReader[] indexes, byte[] withoutTerms)
      throws IOException {
    List<TreeSet<BytesRef>> docids = new ArrayList<>();
    for (int i = 0; i < indexes.length; i++) {
      docids.add(new TreeSet<>());
    }
    Iterator<String> texts = PackedLists.readStrings(withoutTerms).iterator();
    while (texts.hasNext()) {
      int index = Integer.parseInt(texts.next());
      docids.get(index).add(new BytesRef(texts.next()));
    }
    return DuplicateDocids.find(List.of(indexes), docids);
  }

  /** See {@link DuplicateDocids#count}. */
  public static int countDuplicates(DuplicateDocids duplicates) {
    return duplicates.count();
  }

  /** Some docids, each with the positions of two indexes that have it: a {@link PackedTable}. */
  public static byte[] duplicateExamples(DuplicateDocids duplicates) {
    PackedTable table = new PackedTable();
    for (DuplicateDocids.Example each : duplicates.examples()) {
      table.addRow(each.docid(), Integer.toString(each.first()), Integer.toString(each.second()));
    }
    return table.toByteArray();
  }

  /** See {@link DuplicateDocids#replaced}; an int for each index. */
  public static byte[] replacedDocuments(DuplicateDocids duplicates) {
    PackedWriter out = new PackedWriter();
    for (int count : duplicates.replaced()) {
      out.writeInt(count);
    }
    return out.toByteArray();
  }

  /** See {@link ImpactIndexReader#join}. */
  public static ImpactIndexReader join(
      ImpactIndexReader[] indexes, DuplicateDocids duplicates, ImpactIndexReader known)
      throws IOException {
    return ImpactIndexReader.join(List.of(indexes), duplicates.visibleSegments(), known);
  }

  /** See {@link FieldFormats#difference}: one row, or none, of a {@link PackedTable}. */
  public static byte[] formatDifference(ImpactIndexReader[] indexes) {
    PackedTable table = new PackedTable();
    List<String> difference = FieldFormats.difference(List.of(indexes));
    if (!difference.isEmpty()) {
      table.addRow(difference.toArray(String[]::new));
    }
    return table.toByteArray();
  }

  /** See {@link ImpactIndexReader#createdMajor}. */
  public static int createdMajor(ImpactIndexReader index) {
    return index.createdMajor();
  }

  /** See {@link IndexMerge}. */
  public static IndexMerge startMerge(
      ImpactIndexReader source,
      String target,
      int createdMajor,
      String order,
      int threads,
      long memory)
      throws IOException {
    IndexMerge merge =
        new IndexMerge(
            source, FSDirectory.open(Path.of(target)), createdMajor, order, threads, memory);
    merge.start();
    return merge;
  }

  /** See {@link IndexMerge#await}. */
  public static boolean awaitMerge(IndexMerge merge, long millis) throws InterruptedException {
    return merge.await(millis);
  }

  /** See {@link IndexMerge#cancel}. */
  public static void cancelMerge(IndexMerge merge) throws IOException {
    merge.cancel();
  }

  /** See {@link IndexMerge#writer}. */
  public static ImpactIndexWriter writerOf(IndexMerge merge) throws Exception {
    return merge.writer();
  }
}
