package io.spladelucene;

import io.anserini.search.topicreader.TopicReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.util.Version;

/** What Python asks of Java, Lucene and Anserini themselves; static for the reason that {@link IndexFacade} tells. */
public final class RuntimeFacade {
  /** Java forgets a logger's level when nobody holds the logger. */
  private static final List<Logger> QUIET = new ArrayList<>();

  private RuntimeFacade() {}

  public static String luceneVersion() {
    return Version.LATEST.toString();
  }

  /** The largest heap, in bytes. */
  public static long maxMemory() {
    return Runtime.getRuntime().maxMemory();
  }

  /** Lets Lucene's package log no more than warnings, and what it says of vectors nothing at all. */
  public static synchronized void quietLucene() {
    quiet("org.apache.lucene", Level.WARNING);
    quiet("org.apache.lucene.internal.vectorization", Level.SEVERE);
  }

  private static void quiet(String name, Level lowest) {
    Logger logger = Logger.getLogger(name);
    logger.setLevel(lowest);
    QUIET.add(logger);
  }

  /** Lets queries of any class of Lucene's have so many clauses. */
  public static void allowClauses(int count) {
    IndexSearcher.setMaxClauseCount(count);
  }

  /**
   * Topics by one of Anserini's readers, of 1.x or 2.x.
   *
   * @return int rows; per row three strings: qid, field, value; a topic without fields has none.
   */
  public static byte[] readTopics(String reader, String file) throws Exception {
    Class<?> type = Class.forName("io.anserini.search.topicreader." + reader);
    TopicReader<?> topics = (TopicReader<?>) type.getConstructor(Path.class).newInstance(Path.of(file));
    Packed.Writer rows = new Packed.Writer();
    int count = 0;
    for (Map.Entry<?, Map<String, String>> topic : topics.read().entrySet()) {
      for (Map.Entry<String, String> field : topic.getValue().entrySet()) {
        if (field.getValue() != null) {
          rows.writeString(topic.getKey().toString());
          rows.writeString(field.getKey());
          rows.writeString(field.getValue());
          count++;
        }
      }
    }
    Packed.Writer packed = new Packed.Writer();
    packed.writeInt(count);
    packed.writeRaw(rows.toByteArray());
    return packed.toByteArray();
  }
}
