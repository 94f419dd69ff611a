package io.spladelucene.index;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.util.BytesRef;

/**
 * Gives terms dense ids, from 0 in the order in which they are first asked for. All workers of a
 * build share it; each asks through a {@link Cache} of its own.
 */
final class TermDictionary {
  /** The longest term. Anserini's WhitespaceTokenizer would split a longer one. */
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

  /** The number of terms. */
  synchronized int size() {
    return terms.size();
  }

  /** The term with an id. */
  synchronized BytesRef term(int id) {
    return terms.get(id);
  }

  /** The ids that this dictionary gives to terms of another one, in their order. */
  int[] idsOf(TermDictionary other, int[] ids) {
    int[] own = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      own[i] = idOf(other.term(ids[i]));
    }
    return own;
  }

  /** The term of each id. */
  synchronized List<BytesRef> terms() {
    return List.copyOf(terms);
  }

  /** Refuses a term that Anserini's whitespace analyzer would change. */
  static void check(String term) throws BadPseudoDocument {
    if (term.isEmpty()) {
      throw new BadPseudoDocument("empty-term", "");
    }
    if (term.length() > MAX_TERM_CHARS) {
      throw new BadPseudoDocument("long-term", JsonDocument.shown(term));
    }
    if (term.codePoints().anyMatch(Character::isWhitespace)) {
      throw new BadPseudoDocument("white-space", JsonDocument.shown(term));
    }
  }

  /**
   * One worker's open-addressing table of terms, over their UTF-8 bytes. A term is checked once,
   * when the worker first asks for it. The number of the document that last had a term finds terms
   * that occur twice in a vector.
   */
  static final class Cache {
    private static final int MOST_OF_TEXTS = 1 << 18;

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

    /** An empty cache. */
    Cache(TermDictionary shared) {
      this.shared = shared;
      Arrays.fill(slots, -1);
    }

    /** The hash that {@link #idOf} expects: 31 times that of the bytes before, plus the byte. */
    static int hash(byte[] bytes, int from, int to) {
      int hash = 0;
      for (int i = from; i < to; i++) {
        hash = 31 * hash + bytes[i];
      }
      return hash;
    }

    /**
     * The id of the term in bytes[from, to).
     *
     * @param hash its {@link #hash}
     * @param document greater than 0, and another one for each vector
     * @throws BadPseudoDocument if the term is bad, or was asked for with this document before
     */
    int idOf(byte[] bytes, int from, int to, int hash, long document) throws BadPseudoDocument {
      int entry = find(bytes, from, to, hash);
      if (entry >= 0) {
        if (stamps[entry] == document) {
          throw new BadPseudoDocument(
              "repeated-term", new String(bytes, from, to - from, StandardCharsets.UTF_8));
        }
        stamps[entry] = document;
        return sharedIds[entry];
      }
      check(decode(bytes, from, to));
      int id = shared.idOf(new BytesRef(bytes, from, to - from));
      insert(bytes, from, to, hash, id, document);
      return id;
    }

    /**
     * The id of a term of a text, which may be any term, and occur often. There are millions of
     * them, so the cache is emptied when it is large.
     */
    int idOf(BytesRef term) {
      int from = term.offset;
      int to = term.offset + term.length;
      int hash = hash(term.bytes, from, to);
      int entry = find(term.bytes, from, to, hash);
      if (entry >= 0) {
        return sharedIds[entry];
      }
      if (size == MOST_OF_TEXTS) {
        Arrays.fill(slots, -1);
        poolEnd = 0;
        size = 0;
      }
      int id = shared.idOf(term);
      insert(term.bytes, from, to, hash, id, 0);
      return id;
    }

    /** The entry of a term; -1 if there is none. */
    private int find(byte[] bytes, int from, int to, int hash) {
      int mask = slots.length - 1;
      int slot = mix(hash) & mask;
      while (slots[slot] >= 0) {
        int entry = slots[slot];
        if (hashes[entry] == hash
            && lengths[entry] == to - from
            && matches(offsets[entry], bytes, from, to)) {
          return entry;
        }
        slot = (slot + 1) & mask;
      }
      return -1;
    }

    /** Terms are a few bytes long, so a plain loop is faster than Arrays.equals. */
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

  /** Encodes a text. Half of a surrogate pair, which JSON can express, is an error. */
  static byte[] encode(String text) throws BadPseudoDocument {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isHighSurrogate(c)
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else if (Character.isSurrogate(c)) {
        throw new BadPseudoDocument(
            "not-utf8", String.format("\\u%04x is half of a surrogate pair", (int) c));
      }
    }
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** Decodes a text. Malformed bytes are an error. */
  static String decode(byte[] bytes, int from, int to) throws BadPseudoDocument {
    ByteBuffer left = ByteBuffer.wrap(bytes, from, to - from);
    CharBuffer text = CharBuffer.allocate(to - from);
    if (StandardCharsets.UTF_8.newDecoder().decode(left, text, true).isError()) {
      throw new BadPseudoDocument("not-utf8", "byte " + (left.position() - from + 1));
    }
    return text.flip().toString();
  }
}
