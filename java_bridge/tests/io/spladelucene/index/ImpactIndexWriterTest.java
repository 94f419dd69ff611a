package io.spladelucene.index;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.LockObtainFailedException;
import org.apache.lucene.tests.store.MockDirectoryWrapper;
import org.apache.lucene.tests.util.LuceneTestCase;

/** With a random codec of Lucene's, in a directory that checks and fails. */
public class ImpactIndexWriterTest extends LuceneTestCase {
  /** Commits with a manifest, and checks the name of the commit, which is returned. */
  private static String commit(ImpactIndexWriter writer, String manifest) throws IOException {
    byte[] prepared = writer.prepare();
    assertTrue(writer.commit(manifest.getBytes(StandardCharsets.UTF_8)));
    return new String(prepared, 8, prepared.length - 12, StandardCharsets.UTF_8);
  }

  private static byte[] committed(Directory directory) throws IOException {
    return Commits.pack(SegmentInfos.readLatestCommit(directory));
  }

  public void testChangesMakeTheDocumentsThatAModelHas() throws Exception {
    try (Directory directory = newDirectory()) {
      Map<String, Doc> model = new TreeMap<>();
      for (int round = 0; round < 8; round++) {
        try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, round > 0)) {
          List<Doc> changed =
              RandomCollection.documents(random(), 1 + random().nextInt(60), 50, 8, 300);
          writer.put(RandomCollection.pack(changed));
          changed.forEach(document -> model.put(document.docid(), document));
          List<String> deleted = new ArrayList<>(List.of("unknown"));
          model.keySet().stream().filter(docid -> random().nextInt(5) == 0).forEach(deleted::add);
          writer.delete(RandomCollection.packStrings(deleted));
          model.keySet().removeAll(deleted);
          if (random().nextInt(4) == 0) {
            writer.merge();
          }
          if (random().nextInt(4) == 0) {
            writer.optimize(1 + random().nextInt(2), random().nextInt(1 << 22));
          }
          String name = commit(writer, "manifest " + round);
          String commit = new String(committed(directory), StandardCharsets.UTF_8);
          assertTrue(commit, commit.contains(name) && commit.endsWith("manifest " + round));
          if (random().nextInt(4) == 0) {
            writer.put(RandomCollection.pack(changed)); // lost, as there is no commit
          }
        }
        IndexContents.assertEqual(List.copyOf(model.values()), directory);
      }
    }
  }

  public void testWhatIsNotCommittedIsLostInACrash() throws Exception {
    try (MockDirectoryWrapper directory = newMockDirectory()) {
      List<Doc> first = RandomCollection.documents(random(), 80, 50, 8, 300);
      try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
        writer.put(RandomCollection.pack(first));
        commit(writer, "first");
      }
      directory.setCheckIndexOnClose(false);
      ImpactIndexWriter writer = new ImpactIndexWriter(directory, true);
      writer.delete(RandomCollection.packStrings(List.of("d1", "d2")));
      writer.put(RandomCollection.pack(RandomCollection.documents(random(), 90, 50, 8, 300)));
      directory.crash();
      expectThrows(Exception.class, () -> commit(writer, "second"));
      try {
        writer.rollback();
      } catch (Exception e) {
        // The files are gone.
      }
      directory.clearCrash();
      IndexContents.assertEqual(first, directory);
    }
  }

  public void testAFullDiskLeavesTheLastCommit() throws Exception {
    try (MockDirectoryWrapper directory = newMockDirectory()) {
      List<Doc> first = RandomCollection.documents(random(), 80, 50, 8, 300);
      try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
        writer.put(RandomCollection.pack(first));
        commit(writer, "first");
      }
      directory.setMaxSizeInBytes(directory.sizeInBytes() + 2000);
      ImpactIndexWriter writer = new ImpactIndexWriter(directory, true);
      List<Doc> many = RandomCollection.documents(random(), 3000, 5000, 30, 300);
      expectThrows(
          Exception.class,
          () -> {
            writer.put(RandomCollection.pack(many));
            commit(writer, "second");
          });
      try {
        writer.rollback();
      } catch (Exception e) {
        // Lucene has closed it after the failure.
      }
      directory.setMaxSizeInBytes(0);
      IndexContents.assertEqual(first, directory);
    }
  }

  public void testOnlyOneWriter() throws Exception {
    try (Directory directory = newDirectory()) {
      try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
        assertNotNull(writer);
        expectThrows(
            LockObtainFailedException.class, () -> ImpactIndexWriter.checkUnlocked(directory));
      }
      ImpactIndexWriter.checkUnlocked(directory);
    }
  }

  public void testACrashAtAnyWriteLeavesACommitWithItsManifest() throws Exception {
    for (int round = 0; round < 30; round++) {
      List<Doc> first = RandomCollection.documents(random(), 60, 50, 8, 300);
      List<Doc> more = RandomCollection.documents(random(), 90, 50, 8, 300);
      try (MockDirectoryWrapper directory = newMockDirectory()) {
        try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
          writer.put(RandomCollection.pack(first));
          commit(writer, "first");
        }
        directory.setCheckIndexOnClose(false);
        int writes = random().nextInt(120);
        MockDirectoryWrapper.Failure failure =
            new MockDirectoryWrapper.Failure() {
              private int left = writes;

              @Override
              public void eval(MockDirectoryWrapper mock) throws IOException {
                if (doFail && left-- <= 0) {
                  throw new IOException("a crash");
                }
              }
            };
        failure.setDoFail();
        directory.failOn(failure);
        ImpactIndexWriter writer = null;
        try {
          writer = new ImpactIndexWriter(directory, true);
          writer.put(RandomCollection.pack(more));
          commit(writer, "second");
        } catch (IOException | RuntimeException e) {
          // As wanted. It may also have been too late.
        }
        failure.clearDoFail();
        directory.crash();
        try {
          if (writer != null) {
            writer.rollback();
          }
        } catch (Exception e) {
          // The files are gone.
        }
        directory.clearCrash();
        String commit = new String(committed(directory), StandardCharsets.UTF_8);
        Map<String, Doc> expected = new TreeMap<>();
        first.forEach(document -> expected.put(document.docid(), document));
        if (!commit.endsWith("first")) {
          assertTrue(commit, commit.endsWith("second"));
          more.forEach(document -> expected.put(document.docid(), document));
        }
        IndexContents.assertEqual(List.copyOf(expected.values()), directory);
      }
    }
  }
}
