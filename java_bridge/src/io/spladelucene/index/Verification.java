package io.spladelucene.index;

import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.lucene.codecs.CodecUtil;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.SegmentCommitInfo;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.store.ByteBuffersDataOutput;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.IOContext;
import org.apache.lucene.store.IndexInput;

/**
 * Reads every byte of the files of the last commit of an index: each has a checksum in its footer,
 * and the id of its segment in its header.
 */
final class Verification {
  private static final Pattern PATH = Pattern.compile("path=\"([^\"]*)\"");
  private static final Pattern LUCENES = Pattern.compile("_[0-9a-z]+[._].*");

  private final Directory index;
  private final List<String> found = new ArrayList<>(); // file, reason, file, reason ...
  private int files = 0;

  private Verification(Directory index) {
    this.index = index;
  }

  /**
   * Verifies an index.
   *
   * @return int files verified, int count, and for each damaged file two strings: its name, and
   *     what is wrong with it
   */
  static byte[] verify(Directory index) throws IOException {
    Verification verification = new Verification(index);
    verification.run();
    PackedWriter out = new PackedWriter();
    out.writeInt(verification.files);
    out.writeInt(verification.found.size() / 2);
    verification.found.forEach(out::writeString);
    return out.toByteArray();
  }

  private void run() throws IOException {
    String segments = SegmentInfos.getLastCommitSegmentsFileName(index);
    if (segments == null) {
      return; // there is no index, which opening it says
    }
    Map<String, byte[]> ids = new HashMap<>();
    try {
      SegmentInfos commit = SegmentInfos.readLatestCommit(index);
      for (SegmentCommitInfo each : commit) {
        for (String file : each.files()) {
          ids.put(file, each.info.getId());
        }
      }
      ids.put(segments, commit.getId());
    } catch (IOException | RuntimeException e) {
      Exception cause = e.getCause() instanceof NoSuchFileException missing ? missing : e;
      report(fileIn(cause, segments), cause);
      for (String file : index.listAll()) {
        if (LUCENES.matcher(file).matches()) {
          ids.put(file, null);
        }
      }
    }
    for (String file : new TreeSet<>(ids.keySet())) {
      files++;
      try {
        verify(file, ids.get(file));
      } catch (IOException | RuntimeException e) {
        report(file, e);
      }
    }
  }

  private void verify(String file, byte[] id) throws IOException {
    try (IndexInput in = index.openInput(file, IOContext.READONCE)) {
      CodecUtil.checksumEntireFile(in);
      if (id != null) {
        in.seek(0);
        CodecUtil.verifyAndCopyIndexHeader(in, new ByteBuffersDataOutput(), id);
      }
    }
  }

  private void report(String file, Exception e) {
    for (int i = 0; i < found.size(); i += 2) {
      if (found.get(i).equals(file)) {
        return;
      }
    }
    String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    if (e instanceof NoSuchFileException) {
      message = "the file is missing";
    }
    found.addAll(Arrays.asList(file, message.replaceFirst("\\s*\\(resource=.*", "")));
  }

  /** The file that an exception names. */
  private static String fileIn(Exception e, String otherwise) {
    String message = String.valueOf(e.getMessage());
    Matcher path = PATH.matcher(message);
    String named = path.find() ? path.group(1) : e instanceof IOException ? message : otherwise;
    String name = String.valueOf(Path.of(named.lines().findFirst().orElse("")).getFileName());
    return LUCENES.matcher(name).matches() ? name : otherwise;
  }

  /** The names of the files in the folder of an index that its last commit does not have. */
  static List<String> leftovers(Directory index) throws IOException {
    List<String> left = new ArrayList<>();
    TreeSet<String> files = new TreeSet<>(SegmentInfos.readLatestCommit(index).files(true));
    files.add(IndexWriter.WRITE_LOCK_NAME);
    for (String file : index.listAll()) {
      if (!files.contains(file) && (LUCENES.matcher(file).matches() || file.contains("segments"))) {
        left.add(file);
      }
    }
    return left;
  }
}
