package io.spladelucene.search;

import io.spladelucene.postings.BlockMaxima;

/**
 * Block-max pruning: scores the documents of selected blocks only, as runs of consecutive blocks. A
 * few hundred blocks are scored together, so that their sums stay in the processor's cache and the
 * k-th score rises in between.
 *
 * <p>Mallia, Suel and Tonellotto, Faster Learned Sparse Retrieval with Block-Max Pruning, SIGIR
 * 2024, arXiv 2405.01117. Unlike there, the blocks are scored in the order of the index, and
 * postings are added list by list.
 */
final class BlockMax {
  private static final int PIECE = 256; // blocks that are scored together

  private final BlockRuns piece = new BlockRuns(PIECE);

  /**
   * Scores those of the chosen blocks whose bounds reach {@code cut} and the k-th score at that
   * time. Their bounds become 0.
   *
   * @param bounds of {@code chosen}, which is ascending; the first {@code count} elements count
   * @param limit the number of blocks that are scored at most
   * @return the number of blocks that were scored
   */
  int score(
      QueryLists lists,
      BlockBounds bounds,
      int[] chosen,
      int count,
      int cut,
      int limit,
      TopHits top,
      Approximation approximation,
      Profile profile) {
    int[] bound = bounds.ofBlocks;
    long least = Math.max(cut, approximation.leastBound(top.threshold()));
    int all = 0;
    for (int i = 0; i < count && all + piece.taken() < limit; i++) {
      int block = chosen[i];
      if (bound[block] >= least) {
        if (piece.taken() > 0
            && all + piece.taken() + 2 <= limit
            && closesGap(bound, block, piece.last())) {
          take(bound, block - 1);
        }
        take(bound, block);
        if (piece.taken() >= PIECE - 1) {
          all += scorePiece(lists, top, approximation, profile);
          least = Math.max(cut, approximation.leastBound(top.threshold()));
        }
      }
    }
    all += scorePiece(lists, top, approximation, profile);
    profile.blocksScored += all;
    return all;
  }

  private void take(int[] bound, int block) {
    piece.take(block, bound[block]);
    bound[block] = 0;
  }

  /**
   * Whether there is exactly one block between the last one taken and this one, and it can be
   * scored, too, which costs less than to start a new run. Its bound must be known, so it is of the
   * same group.
   */
  private static boolean closesGap(int[] bound, int block, int last) {
    return block - last == 2
        && bound[block - 1] > 0
        && last >> BlockMaxima.GROUP_SHIFT == block >> BlockMaxima.GROUP_SHIFT;
  }

  private int scorePiece(
      QueryLists lists, TopHits top, Approximation approximation, Profile profile) {
    lists.cancellation.check();
    int taken = piece.taken();
    piece.score(lists, 0, approximation.alpha(), top, profile);
    piece.clear(taken);
    return taken;
  }
}
