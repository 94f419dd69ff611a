package io.spladelucene.join;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.index.ImpactIndexWriter;
import io.spladelucene.index.IndexContents;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.store.AlreadyClosedException;
import org.apache.lucene.store.Directory;
import org.apache.lucene.tests.store.MockDirectoryWrapper;
import org.apache.lucene.tests.util.LuceneTestCase;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.Version;

/** With random codecs of Lucene's, in directories that check and fail. */
public class IndexMergeTest extends LuceneTestCase {
  /** Indexes in memory, the documents of each, and which of them a docid has last. */
  private record Several(
      List<Directory> directories,
      List<ImpactIndexReader> readers,
      List<Map<String, Doc>> documents,
      Map<String, Integer> last)
      implements AutoCloseable {
    Map<String, Doc> union() {
      Map<String, Doc> union = new TreeMap<>();
      documents.forEach(union::putAll);
      return union;
    }

    DuplicateDocids duplicates() throws IOException {
      List<TreeSet<BytesRef>> none = new ArrayList<>();
      readers.forEach(each -> none.add(new TreeSet<>()));
      return DuplicateDocids.find(readers, none);
    }

    ImpactIndexReader joined() throws IOException {
      return ImpactIndexReader.join(readers, duplicates().visibleSegments(), null);
    }

    @Override
    public void close() throws IOException {
      for (ImpactIndexReader each : readers) {
        each.close();
      }
      for (Directory each : directories) {
        each.close();
      }
    }
  }

  private static void commit(ImpactIndexWriter writer) throws IOException {
    writer.prepare();
    assertTrue(writer.commit("manifest".getBytes(StandardCharsets.UTF_8)));
  }

  /** Two to four indexes of several segments, with deleted documents and docids in common. */
  private static Several several(int largest) throws IOException {
    Several several =
        new Several(new ArrayList<>(), new ArrayList<>(), new ArrayList<>(), new TreeMap<>());
    int count = 2 + random().nextInt(3);
    for (int index = 0; index < count; index++) {
      Directory directory = newDirectory();
      Map<String, Doc> documents = new TreeMap<>();
      try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
        for (int round = 0; round < 3; round++) {
          int size = 1 + random().nextInt(largest);
          List<Doc> added = RandomCollection.documents(random(), size, 50, 8, 300);
          added.removeIf(document -> random().nextInt(3) == 0);
          writer.put(RandomCollection.pack(added));
          added.forEach(document -> documents.put(document.docid(), document));
          List<String> deleted = new ArrayList<>(documents.keySet());
          deleted.removeIf(docid -> random().nextInt(6) > 0);
          writer.delete(RandomCollection.packStrings(deleted));
          documents.keySet().removeAll(deleted);
          commit(writer);
        }
      }
      several.directories.add(directory);
      several.readers.add(new ImpactIndexReader(directory));
      several.documents.add(documents);
      for (String docid : documents.keySet()) {
        several.last.put(docid, index);
      }
    }
    return several;
  }

  private static ImpactIndexWriter merge(ImpactIndexReader source, Directory target)
      throws Exception {
    String order = random().nextBoolean() ? "bp" : "input";
    IndexMerge merge =
        new IndexMerge(
            source, target, Version.LATEST.major, order, 1 + random().nextInt(2), 1 << 22);
    merge.start();
    while (!merge.await(100)) {
      assertNotNull(merge);
    }
    return merge.writer();
  }

  public void testSeveralIndexesAreTheirUnion() throws Exception {
    for (int round = 0; round < 10; round++) {
      try (Several several = several(60);
          Directory target = newDirectory()) {
        Map<String, Doc> union = several.union();
        DuplicateDocids duplicates = several.duplicates();
        int copied = 0;
        int[] replaced = new int[several.readers.size()];
        for (String docid : union.keySet()) {
          int having = -1;
          int count = 0;
          for (int index = 0; index < replaced.length; index++) {
            if (several.documents.get(index).containsKey(docid)) {
              replaced[index] += having < 0 ? 0 : 1;
              having = index;
              count++;
            }
          }
          copied += count > 1 ? 1 : 0;
        }
        assertEquals(copied, duplicates.count());
        assertArrayEquals(replaced, duplicates.replaced());
        ImpactIndexReader joined = several.joined();
        assertEquals(union.size(), joined.numDocs());
        for (String docid : union.keySet()) {
          int document = joined.luceneDocid(docid);
          assertEquals(docid, joined.docid(document));
          int base = 0;
          for (int index = 0; index < several.last.get(docid); index++) {
            base += several.readers.get(index).maxDoc();
          }
          int size = several.readers.get(several.last.get(docid)).maxDoc();
          assertTrue(base <= document && document < base + size);
        }
        try (ImpactIndexWriter writer = merge(joined, target)) {
          commit(writer);
        }
        IndexContents.assertEqual(List.copyOf(union.values()), target);
        joined.close();
        expectThrows(AlreadyClosedException.class, () -> joined.use(() -> joined.statistics()));
      }
    }
  }

  public void testAJoinedIndexKeepsItsIndexesOpen() throws Exception {
    try (Several several = several(30)) {
      ImpactIndexReader joined = several.joined();
      for (ImpactIndexReader each : several.readers) {
        each.close();
      }
      String docid = several.union().keySet().iterator().next();
      assertTrue(joined.use(() -> joined.luceneDocid(docid)) >= 0);
      joined.close();
      expectThrows(
          AlreadyClosedException.class,
          () ->
              ImpactIndexReader.join(
                  several.readers, several.duplicates().visibleSegments(), null));
    }
  }

  public void testAFullDiskLeavesNoIndex() throws Exception {
    try (Several several = several(400);
        MockDirectoryWrapper target = newMockDirectory()) {
      target.setMaxSizeInBytes(500 + random().nextInt(3000));
      ImpactIndexReader joined = several.joined();
      expectThrows(IOException.class, () -> merge(joined, target));
      target.setMaxSizeInBytes(0);
      assertNull(SegmentInfos.getLastCommitSegmentsFileName(target));
      try (ImpactIndexWriter writer = merge(joined, target)) {
        commit(writer);
      }
      IndexContents.assertEqual(List.copyOf(several.union().values()), target);
      joined.close();
    }
  }

  public void testAnErrorAtAnyWriteLeavesNoIndexOrAWholeOne() throws Exception {
    for (int round = 0; round < 20; round++) {
      try (Several several = several(40);
          MockDirectoryWrapper target = newMockDirectory()) {
        int writes = random().nextInt(200);
        MockDirectoryWrapper.Failure failure =
            new MockDirectoryWrapper.Failure() {
              private int left = writes;

              @Override
              public synchronized void eval(MockDirectoryWrapper mock) throws IOException {
                if (doFail && left-- <= 0) {
                  throw new IOException("an error");
                }
              }
            };
        failure.setDoFail();
        target.failOn(failure);
        ImpactIndexReader joined = several.joined();
        boolean isCommitted = false;
        try (ImpactIndexWriter writer = merge(joined, target)) {
          commit(writer);
          isCommitted = true;
        } catch (IOException | RuntimeException e) {
          // As wanted. It may also have been too late.
        }
        failure.clearDoFail();
        if (SegmentInfos.getLastCommitSegmentsFileName(target) == null) {
          assertFalse(isCommitted);
        } else {
          IndexContents.assertEqual(List.copyOf(several.union().values()), target);
        }
        joined.close();
      }
    }
  }

  public void testACancelledMergeIsRolledBack() throws Exception {
    try (Several several = several(300);
        Directory target = newDirectory()) {
      ImpactIndexReader joined = several.joined();
      IndexMerge merge = new IndexMerge(joined, target, Version.LATEST.major, "bp", 1, 1 << 22);
      merge.start();
      merge.await(random().nextInt(30));
      merge.cancel();
      while (!merge.await(100)) {
        assertNotNull(merge);
      }
      assertNull(SegmentInfos.getLastCommitSegmentsFileName(target));
      ImpactIndexWriter.checkUnlocked(target);
      joined.close();
    }
  }
}
