package io.spladelucene.index;

import io.spladelucene.RandomCollection;
import io.spladelucene.RandomCollection.Doc;
import io.spladelucene.fields.FieldSchema;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.apache.lucene.store.Directory;
import org.apache.lucene.tests.store.MockDirectoryWrapper;
import org.apache.lucene.tests.util.LuceneTestCase;

/** With a random codec of Lucene's, in a directory that checks and fails. */
public class BulkIndexerTest extends LuceneTestCase {
  private static final long ONE_SEGMENT = Long.MAX_VALUE;

  private static String build(
      List<Path> files, Directory index, boolean append, String order, long memory, int threads)
      throws Exception {
    BulkIndexer build =
        new BulkIndexer(
            files,
            index,
            "none",
            threads,
            true,
            append,
            false,
            order,
            memory,
            FieldSchema.NONE,
            false);
    build.start();
    while (!build.await(1000)) {
      assertTrue(build.documents() >= 0);
    }
    String result = build.result();
    build.writer().commit(new byte[0]);
    build.writer().close();
    return result;
  }

  private static List<Path> write(List<Doc> documents, int files) throws IOException {
    Path folder = createTempDir();
    List<Path> paths = new ArrayList<>();
    int size = (documents.size() + files - 1) / files;
    for (int from = 0; from < documents.size(); from += size) {
      Path path = folder.resolve("part" + from + ".jsonl");
      int to = Math.min(documents.size(), from + size);
      Files.write(path, RandomCollection.lines(documents.subList(from, to)));
      paths.add(path);
    }
    return paths;
  }

  private static List<Doc> draw(int count) {
    return RandomCollection.documents(random(), count, 300, 20, 300);
  }

  public void testAnIndexHasTheDocumentsOfTheFiles() throws Exception {
    List<Doc> documents = draw(1 + random().nextInt(2000));
    List<Path> files = write(documents, 1 + random().nextInt(4));
    for (String order : List.of("input", "bp")) {
      for (long memory : new long[] {ONE_SEGMENT, 20_000}) {
        try (Directory directory = newDirectory()) {
          String result = build(files, directory, false, order, memory, 2);
          assertTrue(result, result.contains("\"documents\":" + documents.size() + ","));
          IndexContents.assertEqual(documents, directory);
          if (order.equals("input")) {
            assertEquals(
                documents.stream().map(Doc::docid).toList(), IndexContents.docids(directory));
          }
        }
      }
    }
  }

  public void testAppendAddsWhatIsNew() throws Exception {
    List<Doc> documents = draw(600);
    try (Directory directory = newDirectory()) {
      build(write(documents.subList(0, 300), 1), directory, false, "bp", ONE_SEGMENT, 2);
      String result =
          build(write(documents.subList(200, 600), 2), directory, true, "bp", 10_000, 2);
      assertTrue(result, result.contains("\"documents\":300,"));
      assertEquals(100, result.split("duplicate-id", -1).length - 1);
      IndexContents.assertEqual(documents, directory);
    }
  }

  private interface Step {
    void run() throws Exception;
  }

  /** Runs a step whose failures also end merge threads of Lucene, which the framework reports. */
  private static void withFailingMerges(Step step) throws Exception {
    Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
    Thread.setDefaultUncaughtExceptionHandler(
        (thread, error) -> {
          if (!thread.getName().startsWith("Lucene Merge Thread")) {
            before.uncaughtException(thread, error);
          }
        });
    try {
      step.run();
    } finally {
      Thread.setDefaultUncaughtExceptionHandler(before);
    }
  }

  public void testFailuresLeaveTheOldIndex() throws Exception {
    List<Doc> old = draw(200);
    List<Path> files = write(draw(1500), 2);
    try (MockDirectoryWrapper directory = newMockDirectory()) {
      build(write(old, 1), directory, false, "input", ONE_SEGMENT, 2);
      withFailingMerges(
          () -> {
            directory.setRandomIOExceptionRate(0.2);
            expectThrows(Exception.class, () -> build(files, directory, false, "bp", 20_000, 2));
            directory.setRandomIOExceptionRate(0);
          });
      IndexContents.assertEqual(old, directory);
    }
  }

  public void testAFullDiskLeavesTheOldIndex() throws Exception {
    List<Doc> old = draw(200);
    List<Path> files = write(draw(3000), 2);
    try (MockDirectoryWrapper directory = newMockDirectory()) {
      build(write(old, 1), directory, false, "input", ONE_SEGMENT, 2);
      withFailingMerges(
          () -> {
            directory.setMaxSizeInBytes(directory.sizeInBytes() + 5000);
            expectThrows(
                Exception.class, () -> build(files, directory, false, "input", ONE_SEGMENT, 2));
            directory.setMaxSizeInBytes(0);
          });
      IndexContents.assertEqual(old, directory);
    }
  }

  public void testACancelledBuildLeavesTheOldIndex() throws Exception {
    List<Doc> old = draw(200);
    try (Directory directory = newDirectory()) {
      build(write(old, 1), directory, false, "input", ONE_SEGMENT, 2);
      List<Path> files = write(draw(20_000), 30);
      BulkIndexer build =
          new BulkIndexer(
              files,
              directory,
              "none",
              2,
              true,
              false,
              false,
              "bp",
              10_000,
              FieldSchema.NONE,
              false);
      build.start();
      build.cancel();
      while (!build.await(1000)) {
        assertTrue(build.documents() >= 0);
      }
      expectThrows(CancellationException.class, build::result);
      IndexContents.assertEqual(old, directory);
    }
  }

  public void testABadLineEndsTheBuildUnlessItIsSkipped() throws Exception {
    List<Doc> documents = draw(50);
    Path file = createTempDir().resolve("a.jsonl");
    List<String> lines = new ArrayList<>(documents.stream().map(RandomCollection::line).toList());
    lines.addAll(20, List.of("", "{\"id\": \"x\"}", "   "));
    Files.write(file, lines);
    try (Directory directory = newDirectory()) {
      BulkIndexer strict =
          new BulkIndexer(
              Collections.singletonList(file),
              directory,
              "none",
              1,
              false,
              false,
              false,
              "bp",
              10_000,
              FieldSchema.NONE,
              false);
      strict.start();
      assertTrue(strict.await(60_000));
      String failed = strict.result();
      assertTrue(failed, failed.contains("\"failed\":true"));
      assertTrue(failed, failed.contains("\"line\":22"));
      String skipped = build(List.of(file), directory, false, "bp", ONE_SEGMENT, 1);
      assertTrue(skipped, skipped.contains("\"kind\":\"no-vector\""));
      IndexContents.assertEqual(documents, directory);
    }
  }

  public void testADuplicateSaysWhereTheFirstOneIs() throws Exception {
    List<Doc> documents = draw(40);
    List<Doc> repeating = new ArrayList<>(documents);
    repeating.add(documents.get(25));
    List<Path> files = write(repeating, 3); // 14 lines, 14 lines, 13 lines
    try (Directory directory = newDirectory()) {
      String result = build(files, directory, false, "input", ONE_SEGMENT, 2);
      assertTrue(
          result,
          result.endsWith(
              "\"bad\":[{\"kind\":\"duplicate-id\",\"detail\":\""
                  + documents.get(25).docid()
                  + "\",\"line\":13,\"first_file\":1,\"first_line\":12,\"file\":2}]}"));
      IndexContents.assertEqual(documents, directory);
    }
  }
}
