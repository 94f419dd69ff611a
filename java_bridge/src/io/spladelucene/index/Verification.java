package io.spladelucene.index;

import io.spladelucene.wire.PackedWriter;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.lucene.codecs.CodecUtil;
import org.apache.lucene.index.IndexFileNames;
import org.apache.lucene.index.IndexFormatTooNewException;
import org.apache.lucene.index.IndexFormatTooOldException;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.SegmentCommitInfo;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.store.ByteBuffersDataOutput;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.IOContext;
import org.apache.lucene.store.IndexInput;
import org.apache.lucene.util.StringHelper;

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

  /**
   * What is wrong with the file that an exception names, or else with that of the last commit: a
   * damaged header can look like one of another version.
   *
   * @param message of the exception
   * @return the file and the reason; empty if its checksum is right
   */
  static String damage(Directory index, String message) throws IOException {
    String segments = SegmentInfos.getLastCommitSegmentsFileName(index);
    if (segments == null) {
      return "";
    }
    Verification verification = new Verification(index);
    verification.check(fileIn(message, segments), null);
    return String.join(": ", verification.found);
  }

  private void run() throws IOException {
    String segments = SegmentInfos.getLastCommitSegmentsFileName(index);
    if (segments == null) {
      return; // there is no index, which opening it says
    }
    Map<String, byte[]> ids = new HashMap<>();
    Exception unreadable = null;
    try {
      SegmentInfos commit = SegmentInfos.readLatestCommit(index);
      for (SegmentCommitInfo each : commit) {
        for (String file : each.files()) {
          ids.put(file, each.info.getId());
        }
      }
      ids.put(segments, commit.getId());
    } catch (IOException | RuntimeException e) {
      unreadable = e.getCause() instanceof NoSuchFileException missing ? missing : e;
      for (String file : index.listAll()) {
        if (LUCENES.matcher(file).matches()) {
          ids.put(file, null);
        }
      }
      ids.put(segments, null);
    }
    for (String file : new TreeSet<>(ids.keySet())) {
      files++;
      check(file, ids.get(file));
    }
    if (unreadable != null) {
      explain(unreadable, segments);
    }
  }

  /** Says which file is to blame for a commit that cannot be read. */
  private void explain(Exception e, String segments) throws IOException {
    String file = fileIn(String.valueOf(e.getMessage()), segments);
    if (found.contains(file)) {
      return;
    }
    if (e instanceof IndexFormatTooNewException
        || e instanceof IndexFormatTooOldException
        || e instanceof IllegalArgumentException) { // of a codec that this Lucene does not know
      if (found.isEmpty()) {
        if (e instanceof IOException io) {
          throw io;
        }
        throw (RuntimeException) e;
      }
    } else if (file.endsWith(".si")) {
      String segment = IndexFileNames.parseSegmentName(file);
      List<String> others = new ArrayList<>();
      for (String each : index.listAll()) {
        if (!each.equals(file) && LUCENES.matcher(each).matches()) {
          if (IndexFileNames.parseSegmentName(each).equals(segment)) {
            others.add(each);
          }
        }
      }
      if (e instanceof NoSuchFileException && others.isEmpty()) {
        add(
            segments,
            "no file of its segment " + segment + " is there: this file belongs to another index");
        return;
      }
      if (!(e instanceof NoSuchFileException) && haveId(others, idOf(file))) {
        add(
            segments,
            "the segment " + segment + " has another id: this file belongs to another index");
        return;
      }
    }
    report(file, e);
  }

  /** Whether the headers of some files, at least one, have an id. */
  private boolean haveId(List<String> names, byte[] id) {
    for (String each : names) {
      if (id == null || !Arrays.equals(idOf(each), id)) {
        return false;
      }
    }
    return !names.isEmpty();
  }

  /** The id in the header of a file; {@code null} if it cannot be read. */
  private byte[] idOf(String file) {
    try (IndexInput in = index.openInput(file, IOContext.READONCE)) {
      if (CodecUtil.readBEInt(in) != CodecUtil.CODEC_MAGIC) {
        return null;
      }
      in.readString(); // the codec
      CodecUtil.readBEInt(in); // its version
      byte[] id = new byte[StringHelper.ID_LENGTH];
      in.readBytes(id, 0, id.length);
      return id;
    } catch (IOException | RuntimeException e) {
      return null;
    }
  }

  /** Reports a file unless it is sound. */
  private void check(String file, byte[] id) {
    try {
      verify(file, id);
    } catch (IOException | RuntimeException e) {
      report(file, e);
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
    String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    if (e instanceof NoSuchFileException) {
      message = "the file is missing";
    }
    add(file, message.replaceFirst("\\s*\\(resource=.*", ""));
  }

  private void add(String file, String problem) {
    found.addAll(Arrays.asList(file, problem));
  }

  /** The file that the message of an exception names. */
  private static String fileIn(String message, String otherwise) {
    Matcher path = PATH.matcher(message);
    String named = path.find() ? path.group(1) : message;
    String name = named.lines().findFirst().orElse("");
    name = name.substring(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
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
