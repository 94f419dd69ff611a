package io.spladelucene.index;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.LockObtainFailedException;
import org.apache.lucene.tests.store.MockDirectoryWrapper;
import org.apache.lucene.tests.util.LuceneTestCase;

/** With a random codec of Lucene's, in a directory that checks and fails. */
public class ImpactIndexWriterTest extends LuceneTestCase {
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
            writer.commit();
            writer.put(RandomCollection.pack(changed));
            writer.rollback();
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
      }
      directory.setCheckIndexOnClose(false);
      ImpactIndexWriter writer = new ImpactIndexWriter(directory, true);
      writer.delete(RandomCollection.packStrings(List.of("d1", "d2")));
      writer.put(RandomCollection.pack(RandomCollection.documents(random(), 90, 50, 8, 300)));
      directory.crash();
      expectThrows(Exception.class, writer::commit);
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
      }
      directory.setMaxSizeInBytes(directory.sizeInBytes() + 2000);
      ImpactIndexWriter writer = new ImpactIndexWriter(directory, true);
      List<Doc> many = RandomCollection.documents(random(), 3000, 5000, 30, 300);
      expectThrows(
          Exception.class,
          () -> {
            writer.put(RandomCollection.pack(many));
            writer.commit();
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
}
