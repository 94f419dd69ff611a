package io.spladelucene.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The vectors of documents in a row: for each document the int number of its terms, -1 if it is
 * deleted; then for all of them together, in their order, the int numbers of the terms; then the
 * int impacts.
 *
 * <p>Postings are added term by term and written document by document.
 */
public final class PackedVectors {
  private final int first;
  private final int[] counts;
  private int[] documents = new int[1024];
  private int[] terms = new int[1024];
  private int[] impacts = new int[1024];
  private int size = 0;

  /** For the documents of a range, which ends before {@code end}. */
  public PackedVectors(int first, int end) {
    this.first = first;
    counts = new int[end - first];
  }

  /** Marks a document as deleted; nothing may be added to it. */
  public void delete(int document) {
    counts[document - first] = -1;
  }

  /** Adds a posting; those of a document are written in the order in which they are added. */
  public void add(int document, int term, int impact) {
    if (size == documents.length) {
      documents = Arrays.copyOf(documents, 2 * size);
      terms = Arrays.copyOf(terms, 2 * size);
      impacts = Arrays.copyOf(impacts, 2 * size);
    }
    documents[size] = document - first;
    terms[size] = term;
    impacts[size++] = impact;
    counts[document - first]++;
  }

  /** The packed vectors. */
  public byte[] toByteArray() {
    int bytes = Math.multiplyExact(Integer.BYTES, Math.addExact(counts.length, 2 * size));
    ByteBuffer out = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int[] ends = new int[counts.length];
    int start = 0;
    for (int document = 0; document < counts.length; document++) {
      out.putInt(counts[document]);
      ends[document] = start;
      start += Math.max(0, counts[document]);
    }
    for (int i = 0; i < size; i++) {
      int place = counts.length + ends[documents[i]]++;
      out.putInt(place * Integer.BYTES, terms[i]);
      out.putInt((place + size) * Integer.BYTES, impacts[i]);
    }
    return out.array();
  }
}
