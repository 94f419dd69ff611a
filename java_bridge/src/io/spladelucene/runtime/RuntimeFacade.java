package io.spladelucene.runtime;

import io.anserini.search.topicreader.TopicReader;
import io.spladelucene.wire.PackedTable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.util.Version;

/**
 * What Python calls of the JVM, of Lucene and of Anserini themselves. All methods are static,
 * because Pyjnius calls only those safely from several threads.
 */
public final class RuntimeFacade {
  // Java resets the level of a logger that nobody references.
  private static final List<Logger> QUIET = new ArrayList<>();

  private RuntimeFacade() {}

  /** The version of Lucene. */
  public static String luceneVersion() {
    return Version.LATEST.toString();
  }

  /** The maximum size of the heap, in bytes. */
  public static long maxMemory() {
    return Runtime.getRuntime().maxMemory();
  }

  /** Limits the log of Lucene to warnings, and that of its vector search to errors. */
  public static synchronized void quietLucene() {
    quiet("org.apache.lucene", Level.WARNING);
    quiet("org.apache.lucene.internal.vectorization", Level.SEVERE);
  }

  private static void quiet(String name, Level lowest) {
    Logger logger = Logger.getLogger(name);
    logger.setLevel(lowest);
    QUIET.add(logger);
  }

  /** Sets the maximum number of clauses of Lucene's queries, of any class. */
  public static void allowClauses(int count) {
    IndexSearcher.setMaxClauseCount(count);
  }

  /**
   * Reads topics with one of Anserini's readers, of Anserini 1.x or 2.x.
   *
   * @param reader the simple name of a class in {@code io.anserini.search.topicreader}
   * @return a {@link PackedTable} of qid, field and value; a topic without fields has no row
   */
  public static byte[] readTopics(String reader, String file) throws Exception {
    Class<?> type = Class.forName("io.anserini.search.topicreader." + reader);
    TopicReader<?> topics =
        (TopicReader<?>) type.getConstructor(Path.class).newInstance(Path.of(file));
    PackedTable table = new PackedTable();
    for (Map.Entry<?, Map<String, String>> topic : topics.read().entrySet()) {
      for (Map.Entry<String, String> field : topic.getValue().entrySet()) {
        if (field.getValue() != null) {
          table.addRow(topic.getKey().toString(), field.getKey(), field.getValue());
        }
      }
    }
    return table.toByteArray();
  }
}
