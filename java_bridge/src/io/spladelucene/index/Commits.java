package io.spladelucene.index;

import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import org.apache.lucene.index.IndexFileNames;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.store.Directory;

/**
 * The commits of an index, and the manifest that Lucene keeps with each: it becomes visible at the
 * same moment as the documents that it describes.
 */
final class Commits {
  /** The key of the manifest in Lucene's commit data. */
  private static final String MANIFEST = "splade_lucene.manifest";

  private static final String PENDING = "pending_";

  private Commits() {}

  /**
   * A commit: the name of its segments file, its unique id in hexadecimal, and its manifest, as
   * strings; the length -1 if it has no manifest.
   */
  static byte[] pack(SegmentInfos commit) {
    PackedWriter out = new PackedWriter();
    out.writeString(commit.getSegmentsFileName());
    out.writeString(HexFormat.of().formatHex(commit.getId()));
    out.writeString(commit.getUserData().get(MANIFEST));
    return out.toByteArray();
  }

  /** Lucene's commit data with a manifest in UTF-8. */
  static Map<String, String> data(byte[] manifest) {
    return Map.of(MANIFEST, new String(manifest, StandardCharsets.UTF_8));
  }

  /**
   * The largest number of a commit in an index, including those that were cut off; a new writer
   * counts on from it.
   */
  static long lastNumber(Directory index) throws IOException {
    long last = 0;
    for (String file : index.listAll()) {
      String name = file.startsWith(PENDING) ? file.substring(PENDING.length()) : file;
      if (name.startsWith(IndexFileNames.SEGMENTS)) {
        last = Math.max(last, SegmentInfos.generationFromSegmentsFileName(name));
      }
    }
    return last;
  }

  /** The name of the segments file of the commit with a number. */
  static String nameOf(long number) {
    return IndexFileNames.fileNameFromGeneration(IndexFileNames.SEGMENTS, "", number);
  }
}
