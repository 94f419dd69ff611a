package io.spladelucene;

/**
 * Block-max pruning (arXiv 2405.01117): the largest impacts of a block of documents bound the scores in it. The blocks with
 * the largest bounds are scored first, which finds nearly the k-th best score; then those of the others whose bounds reach it:
 * in runs of neighbours if they are few, else in a sweep over all documents. Exact, unless it is told to approximate: a block
 * whose bound equals that score is scored too, for its documents may come first by docid. {@link BlockBounds} adds up the
 * bounds, {@link BlockRuns} scores.
 */
final class BlockMax {
  private static final int PROBES = 16; // blocks that are scored first, and those with nearly their bounds
  private static final int HITS_OF_PROBE = 8; // so many more hits wanted, one probe more
  private static final int PIECE = 256; // blocks whose sums stay in the processor's cache
  private static final int BLOCKS_OF_WINDOW = 1 << BlockMaxima.IN_WINDOW;

  /** How the blocks that are left after the probes are scored. */
  enum Rest {
    RUNS,
    SWEEP,
    CHEAPER
  }

  private final BlockBounds bounds = new BlockBounds();
  private final TopBuckets buckets = new TopBuckets();
  private int[] chosen = new int[0];
  private final BlockRuns piece = new BlockRuns(PIECE);
  private BlockRuns window; // made when it is first needed

  /** Searches a leaf; with a budget of blocks there is no sweep. */
  void search(QueryLists lists, TopHits top, Approximation approximation, Rest rest, Profile profile) {
    int blocks = BlockMaxima.count(lists.maxDoc);
    if (chosen.length < blocks) {
      chosen = new int[blocks];
    }
    profile.blocks += blocks;
    lists.arrange();
    bounds.begin(lists);
    int budget = approximation.blocks() == 0 ? Integer.MAX_VALUE : approximation.blocks();
    int probes = Math.min(budget, PROBES + top.depth() / HITS_OF_PROBE);
    long threshold = approximation.bound(top.threshold());
    bounds.refineLargest(lists, probes, threshold);
    int count = bounds.choose(lists, threshold, chosen);
    profile.bounded();
    int cut = count > probes ? buckets.leastOfLargest(bounds.ofBlocks, chosen, count, probes) : 0;
    int scored = score(lists, count, cut, budget, top, approximation, profile);
    profile.probed();
    threshold = approximation.bound(top.threshold());
    bounds.refine(lists, threshold);
    count = bounds.choose(lists, threshold, chosen);
    profile.bounded();
    boolean isSwept = rest == Rest.SWEEP || rest == Rest.CHEAPER && CostModel.sweep(count, lists) < CostModel.runs(count, lists);
    if (isSwept && approximation.blocks() == 0) {
      sweep(lists, count, top, approximation, profile);
      profile.leavesByMaxScore++;
    } else {
      if (budget > scored) {
        cut = count > budget - scored ? buckets.leastOfLargest(bounds.ofBlocks, chosen, count, budget - scored) : 0;
        score(lists, count, cut, budget - scored, top, approximation, profile);
      }
      profile.leavesByBlockMax++;
    }
    bounds.end();
    profile.scored();
  }

  /** Scores the chosen blocks whose bounds reach a cut and still the k-th score, up to a limit; returns their number. */
  private int score(QueryLists lists, int count, int cut, int limit, TopHits top, Approximation approximation,
      Profile profile) {
    int[] bound = bounds.ofBlocks;
    long least = Math.max(cut, approximation.bound(top.threshold()));
    int all = 0;
    for (int i = 0; i < count && all + piece.taken() < limit; i++) {
      int block = chosen[i];
      if (bound[block] >= least) {
        if (piece.taken() > 0 && all + piece.taken() + 2 <= limit && isBehindGap(block, piece.last())) {
          take(block - 1);
        }
        take(block);
        if (piece.taken() >= PIECE - 1) {
          all += scorePiece(lists, top, approximation, profile);
          least = Math.max(cut, approximation.bound(top.threshold()));
        }
      }
    }
    all += scorePiece(lists, top, approximation, profile);
    profile.blocksScored += all;
    return all;
  }

  private void take(int block) {
    piece.take(block, bounds.ofBlocks[block]);
    bounds.ofBlocks[block] = 0;
  }

  /**
   * Whether one block lies between two that does not count as scored: to score it costs less than a new run. Its bound has to be
   * known, so it is of the same group.
   */
  private boolean isBehindGap(int block, int last) {
    return block - last == 2 && bounds.ofBlocks[block - 1] > 0
        && last >> BlockMaxima.GROUP_SHIFT == block >> BlockMaxima.GROUP_SHIFT;
  }

  private int scorePiece(QueryLists lists, TopHits top, Approximation approximation, Profile profile) {
    int taken = piece.taken();
    piece.score(lists, 0, approximation.alpha(), top, profile);
    piece.clear(taken);
    return taken;
  }

  /**
   * Adds up the heavy lists' postings of all documents, window by window, and those of the light lists only in the chosen blocks
   * that may still hold a hit: MaxScore (Turtle and Flood 1995), term at a time.
   */
  private void sweep(QueryLists lists, int count, TopHits top, Approximation approximation, Profile profile) {
    if (window == null) {
      window = new BlockRuns(BLOCKS_OF_WINDOW);
    }
    for (int at = 0; at < count; ) {
      int number = chosen[at] >> BlockMaxima.IN_WINDOW;
      for (int i = 0; i < lists.heavy; i++) {
        window.addWindow(lists.postings[i], lists.queryImpacts[i], number);
      }
      for (; at < count && chosen[at] >> BlockMaxima.IN_WINDOW == number; at++) {
        window.take(chosen[at], chosen[at] % BLOCKS_OF_WINDOW, bounds.ofLight(chosen[at]));
      }
      window.score(lists, lists.heavy, approximation.alpha(), top, profile);
      window.clear(BLOCKS_OF_WINDOW);
    }
    profile.postingsScored += lists.heavyTotal();
    profile.blocksScored += count;
  }
}
