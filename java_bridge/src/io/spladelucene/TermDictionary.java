package io.spladelucene;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.util.BytesRef;

/** Terms to dense term ids, shared by all workers of a build; each worker asks through its own {@link Cache}. */
final class TermDictionary {
  /** Anserini's WhitespaceTokenizer cuts longer tokens in pieces, so a longer term would not survive the round trip. */
  static final int MAX_TERM_CHARS = 255;

  private final Map<BytesRef, Integer> ids = new HashMap<>();
  private final List<BytesRef> terms = new ArrayList<>();

  private synchronized int idOf(BytesRef term) {
    Integer known = ids.get(term);
    if (known != null) {
      return known;
    }
    BytesRef copy = BytesRef.deepCopyOf(term);
    ids.put(copy, terms.size());
    terms.add(copy);
    return terms.size() - 1;
  }

  synchronized int size() {
    return terms.size();
  }

  synchronized List<BytesRef> terms() {
    return List.copyOf(terms);
  }

  /** Refuses what Anserini's whitespace analyzer would not give back unchanged. */
  static void check(String term) throws BadPseudoDocument {
    if (term.isEmpty()) {
      throw new BadPseudoDocument("empty-term", "");
    }
    if (term.length() > MAX_TERM_CHARS) {
      throw new BadPseudoDocument("long-term", term.substring(0, term.offsetByCodePoints(0, 40)) + "…");
    }
    if (term.codePoints().anyMatch(Character::isWhitespace)) {
      throw new BadPseudoDocument("white-space", term);
    }
  }

  /**
   * One worker's open-addressing table over the raw UTF-8 bytes of terms. A term is validated once, when it is first
   * met. {@code stamp} finds a term that a vector repeats.
   */
  static final class Cache {
    private final TermDictionary shared;
    private int[] slots = new int[1 << 16];
    private byte[] pool = new byte[1 << 20];
    private int poolEnd = 0;
    private int size = 0;
    private int[] offsets = new int[1 << 15];
    private int[] lengths = new int[1 << 15];
    private int[] hashes = new int[1 << 15];
    private int[] sharedIds = new int[1 << 15];
    private long[] stamps = new long[1 << 15];

    Cache(TermDictionary shared) {
      this.shared = shared;
      Arrays.fill(slots, -1);
    }

    static int hash(byte[] bytes, int from, int to) {
      int hash = 0;
      for (int i = from; i < to; i++) {
        hash = 31 * hash + bytes[i];
      }
      return hash;
    }

    /**
     * The shared id of the term in bytes[from, to), whose {@link #hash} is given.
     *
     * @param document a number that differs for each vector; asking twice with the same one is a repeated term
     */
    int idOf(byte[] bytes, int from, int to, int hash, long document) throws BadPseudoDocument {
      int mask = slots.length - 1;
      int slot = mix(hash) & mask;
      while (slots[slot] >= 0) {
        int entry = slots[slot];
        if (hashes[entry] == hash && lengths[entry] == to - from && matches(offsets[entry], bytes, from, to)) {
          if (stamps[entry] == document) {
            throw new BadPseudoDocument("repeated-term", new String(bytes, from, to - from, StandardCharsets.UTF_8));
          }
          stamps[entry] = document;
          return sharedIds[entry];
        }
        slot = (slot + 1) & mask;
      }
      check(decode(bytes, from, to));
      int id = shared.idOf(new BytesRef(bytes, from, to - from));
      insert(bytes, from, to, hash, id, document);
      return id;
    }

    /** Terms are a few bytes long: a plain loop beats Arrays.equals. */
    private boolean matches(int offset, byte[] bytes, int from, int to) {
      for (int i = from; i < to; i++) {
        if (pool[offset++] != bytes[i]) {
          return false;
        }
      }
      return true;
    }

    private void insert(byte[] bytes, int from, int to, int hash, int id, long document) {
      int length = to - from;
      if (poolEnd + length > pool.length) {
        pool = Arrays.copyOf(pool, Math.max(pool.length * 2, poolEnd + length));
      }
      System.arraycopy(bytes, from, pool, poolEnd, length);
      if (size == offsets.length) {
        offsets = Arrays.copyOf(offsets, size * 2);
        lengths = Arrays.copyOf(lengths, size * 2);
        hashes = Arrays.copyOf(hashes, size * 2);
        sharedIds = Arrays.copyOf(sharedIds, size * 2);
        stamps = Arrays.copyOf(stamps, size * 2);
      }
      offsets[size] = poolEnd;
      lengths[size] = length;
      hashes[size] = hash;
      sharedIds[size] = id;
      stamps[size] = document;
      poolEnd += length;
      size++;
      if (size * 2 > slots.length) {
        rehash(slots.length * 2);
      } else {
        place(size - 1);
      }
    }

    private void rehash(int capacity) {
      slots = new int[capacity];
      Arrays.fill(slots, -1);
      for (int entry = 0; entry < size; entry++) {
        place(entry);
      }
    }

    private void place(int entry) {
      int mask = slots.length - 1;
      int slot = mix(hashes[entry]) & mask;
      while (slots[slot] >= 0) {
        slot = (slot + 1) & mask;
      }
      slots[slot] = entry;
    }

    private static int mix(int hash) {
      int mixed = hash * 0x9E3779B9;
      return mixed ^ (mixed >>> 15);
    }
  }

  /** Strict UTF-8: half a surrogate pair, which JSON can write, is an error and never a question mark. */
  static byte[] encode(String text) throws BadPseudoDocument {
    try {
      ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
      return Arrays.copyOf(encoded.array(), encoded.limit());
    } catch (CharacterCodingException e) {
      throw new BadPseudoDocument("not-utf8", "half of a surrogate pair");
    }
  }

  /** Strict UTF-8: malformed bytes are an error, never a replacement character. */
  static String decode(byte[] bytes, int from, int to) throws BadPseudoDocument {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, from, to - from)).toString();
    } catch (CharacterCodingException e) {
      throw new BadPseudoDocument("not-utf8", new String(bytes, from, Math.min(to - from, 40), StandardCharsets.UTF_8));
    }
  }
}
