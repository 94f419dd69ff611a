package io.spladelucene.index;

import io.spladelucene.postings.InvertedBlock;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * A field of an {@link InvertedSegment} with frequencies: impacts, or the terms of texts. The
 * postings of a term are those of the blocks that have it, one block after another; each of them is
 * a piece.
 */
final class ImpactTerms extends SortedTerms {
  private final List<InvertedBlock> blocks;
  private final int[] bases;
  private final int[] firsts;
  private final int[] pieceBlocks;
  private final int[] pieceTerms;
  private final int docCount;

  /**
   * @param bases the first document of each block, and the number of documents
   * @param terms in byte order
   * @param firsts the first piece of each term, and the number of pieces
   * @param pieceBlocks the block of each piece
   * @param pieceTerms the position of the term in the block of each piece
   * @param docCount the number of documents with a term
   */
  private ImpactTerms(
      List<InvertedBlock> blocks,
      int[] bases,
      BytesRef[] terms,
      int[] firsts,
      int[] pieceBlocks,
      int[] pieceTerms,
      int docCount) {
    super(terms, true);
    this.blocks = blocks;
    this.bases = bases;
    this.firsts = firsts;
    this.pieceBlocks = pieceBlocks;
    this.pieceTerms = pieceTerms;
    this.docCount = docCount;
  }

  /**
   * Finds the pieces of all terms.
   *
   * @param bases the first document of each block, and the number of documents
   * @param dictionary the term of each term id
   * @param docCount the number of documents with a term
   */
  static ImpactTerms of(
      List<InvertedBlock> blocks, int[] bases, List<BytesRef> dictionary, int docCount) {
    int[] counts = new int[dictionary.size()];
    for (InvertedBlock block : blocks) {
      for (int id : block.termIds) {
        counts[id]++;
      }
    }
    Integer[] order =
        IntStream.range(0, counts.length)
            .filter(id -> counts[id] > 0)
            .boxed()
            .toArray(Integer[]::new);
    Arrays.sort(order, Comparator.comparing(dictionary::get));
    BytesRef[] terms = new BytesRef[order.length];
    int[] firsts = new int[order.length + 1];
    int[] next = new int[counts.length];
    for (int rank = 0; rank < order.length; rank++) {
      terms[rank] = dictionary.get(order[rank]);
      next[order[rank]] = firsts[rank];
      firsts[rank + 1] = firsts[rank] + counts[order[rank]];
    }
    int[] pieceBlocks = new int[firsts[order.length]];
    int[] pieceTerms = new int[firsts[order.length]];
    for (int block = 0; block < blocks.size(); block++) {
      int[] termIds = blocks.get(block).termIds;
      for (int term = 0; term < termIds.length; term++) {
        int piece = next[termIds[term]]++;
        pieceBlocks[piece] = block;
        pieceTerms[piece] = term;
      }
    }
    return new ImpactTerms(blocks, bases, terms, firsts, pieceBlocks, pieceTerms, docCount);
  }

  @Override
  int docFreq(int rank) {
    int sum = 0;
    for (int piece = firsts[rank]; piece < firsts[rank + 1]; piece++) {
      sum += blocks.get(pieceBlocks[piece]).docFreqs[pieceTerms[piece]];
    }
    return sum;
  }

  @Override
  long totalTermFreq(int rank) {
    long sum = 0;
    for (int piece = firsts[rank]; piece < firsts[rank + 1]; piece++) {
      sum += blocks.get(pieceBlocks[piece]).totalImpacts[pieceTerms[piece]];
    }
    return sum;
  }

  @Override
  PostingsEnum postings(int rank) {
    return new Postings(firsts[rank], firsts[rank + 1], docFreq(rank));
  }

  @Override
  public long getSumTotalTermFreq() {
    return blocks.stream().flatMapToLong(block -> Arrays.stream(block.totalImpacts)).sum();
  }

  @Override
  public long getSumDocFreq() {
    return blocks.stream()
        .flatMapToInt(block -> Arrays.stream(block.docFreqs))
        .asLongStream()
        .sum();
  }

  @Override
  public int getDocCount() {
    return docCount;
  }

  private final class Postings extends SequentialPostings {
    private final int end;
    private final int docFreq;
    private int piece;
    private InvertedBlock.Cursor cursor;
    private int base;

    Postings(int first, int end, int docFreq) {
      this.piece = first - 1;
      this.end = end;
      this.docFreq = docFreq;
    }

    @Override
    public int freq() {
      return cursor.impact;
    }

    @Override
    public int nextDoc() {
      while (cursor == null || !cursor.next()) {
        if (++piece == end) {
          return doc = NO_MORE_DOCS;
        }
        cursor = blocks.get(pieceBlocks[piece]).new Cursor(pieceTerms[piece]);
        base = bases[pieceBlocks[piece]];
      }
      return doc = base + cursor.document;
    }

    @Override
    public long cost() {
      return docFreq;
    }
  }
}
