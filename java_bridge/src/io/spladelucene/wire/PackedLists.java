package io.spladelucene.wire;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.util.BytesRef;

/** Batches of texts, terms, docids, lucene_docids or paths. */
public final class PackedLists {
  private PackedLists() {}

  /** Reads texts. The batch: int count; per text: int length, UTF-8 bytes. */
  public static Iterable<String> readStrings(byte[] batch) {
    return PackedReader.records(batch, PackedReader::readString);
  }

  /** Reads the same batch as bytes, which are shared: terms and docids that Lucene looks up. */
  public static Iterable<BytesRef> readBytes(byte[] batch) {
    return PackedReader.records(batch, PackedReader::readBytes);
  }

  /** Reads lucene_docids. The batch: int count; int[count]. */
  public static Iterable<Integer> readInts(byte[] batch) {
    return PackedReader.records(batch, PackedReader::readInt);
  }

  /** Reads paths: UTF-8, each followed by a NUL. */
  public static List<Path> readPaths(byte[] paths) {
    return Arrays.stream(new String(paths, StandardCharsets.UTF_8).split("\0"))
        .map(Path::of)
        .toList();
  }
}
