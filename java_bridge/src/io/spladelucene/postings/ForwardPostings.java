package io.spladelucene.postings;

import io.spladelucene.wire.ImpactQuery;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/**
 * The postings of a segment by document instead of by term, in memory: for each document its terms,
 * as differences between their positions in the dictionary, and their impacts, as variable-length
 * integers. Deleted documents have none.
 */
public final class ForwardPostings {
  private static final int BLOCK = 12; // a block has 4096 documents
  private static final int TERM = 56; // the bytes of a term beside its own: objects and references

  private final BytesRef[] terms; // ascending
  private final byte[][] blocks;
  private final int[] ends; // by document: its end in its block

  private ForwardPostings(BytesRef[] terms, byte[][] blocks, int[] ends) {
    this.terms = terms;
    this.blocks = blocks;
    this.ends = ends;
  }

  /**
   * Reads all postings of a segment, twice.
   *
   * @param live the documents that are not deleted; {@code null}: all
   */
  public static ForwardPostings of(Terms terms, Bits live, int maxDoc) throws IOException {
    int[] ends = new int[maxDoc];
    int[] last = new int[maxDoc];
    List<BytesRef> dictionary = new ArrayList<>();
    TermsEnum each = terms.iterator();
    PostingsEnum postings = null;
    for (BytesRef term = each.next(); term != null; term = each.next()) {
      int id = dictionary.size();
      dictionary.add(BytesRef.deepCopyOf(term));
      postings = each.postings(postings, PostingsEnum.FREQS);
      for (int doc = LiveDocuments.next(postings, live);
          doc < maxDoc;
          doc = LiveDocuments.next(postings, live)) {
        ends[doc] =
            Math.addExact(ends[doc], VInt.length(id - last[doc]) + VInt.length(postings.freq()));
        last[doc] = id;
      }
    }
    byte[][] blocks = new byte[(maxDoc - 1 >> BLOCK) + 1][];
    int[] at = new int[maxDoc]; // where the next posting of a document is written
    for (int block = 0; block < blocks.length; block++) {
      int length = 0;
      for (int doc = block << BLOCK; doc < Math.min(maxDoc, block + 1 << BLOCK); doc++) {
        at[doc] = length;
        length = Math.addExact(length, ends[doc]);
        ends[doc] = length;
      }
      blocks[block] = new byte[length];
    }
    Arrays.fill(last, 0);
    each = terms.iterator();
    for (int id = 0; id < dictionary.size(); id++) {
      each.next();
      postings = each.postings(postings, PostingsEnum.FREQS);
      for (int doc = LiveDocuments.next(postings, live);
          doc < maxDoc;
          doc = LiveDocuments.next(postings, live)) {
        byte[] block = blocks[doc >> BLOCK];
        at[doc] = VInt.write(block, at[doc], id - last[doc]);
        at[doc] = VInt.write(block, at[doc], postings.freq());
        last[doc] = id;
      }
    }
    return new ForwardPostings(dictionary.toArray(BytesRef[]::new), blocks, ends);
  }

  /**
   * An estimate of the memory that the postings of a segment will take, which is seldom too low:
   * most postings take two or three bytes, and only impacts from 16384 on may need more than four.
   */
  public static long estimate(Terms terms, int maxDoc) throws IOException {
    return 4 * terms.getSumDocFreq() + 8L * maxDoc + 64 * terms.size();
  }

  /** The memory that the postings take. */
  public long bytes() {
    long bytes = 4L * ends.length;
    for (byte[] block : blocks) {
      bytes += block.length;
    }
    for (BytesRef term : terms) {
      bytes += TERM + term.length;
    }
    return bytes;
  }

  /** The terms of a document, ascending, and their impacts. */
  public ImpactQuery vector(int doc) {
    byte[] block = blocks[doc >> BLOCK];
    int start = (doc & (1 << BLOCK) - 1) == 0 ? 0 : ends[doc - 1];
    int count = 0;
    for (int at = start; at < ends[doc]; at++) {
      count += block[at] >= 0 ? 1 : 0; // the last byte of an integer
    }
    ImpactQuery vector = new ImpactQuery(new BytesRef[count / 2], new int[count / 2]);
    int id = 0;
    int at = start;
    for (int i = 0; i < vector.size(); i++) {
      int difference = VInt.read(block, at);
      at += VInt.length(difference);
      id += difference;
      vector.terms()[i] = terms[id];
      vector.impacts()[i] = VInt.read(block, at);
      at += VInt.length(vector.impacts()[i]);
    }
    return vector;
  }
}
