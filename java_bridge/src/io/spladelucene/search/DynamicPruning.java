package io.spladelucene.search;

import io.spladelucene.postings.BlockMaxima;

/**
 * Searches a segment without scoring the documents that cannot be hits.
 *
 * <p>The largest impacts in a block of documents give an upper bound of the scores in it. The
 * blocks with the largest bounds are scored first; these are the probes, after which the k-th score
 * is nearly the final one. Of the other blocks, those whose bounds reach it are scored: by {@link
 * BlockMax} if there are few of them, by {@link MaxScore} if there are many.
 *
 * <p>The hits are exact unless an {@link Approximation} is asked for. A block whose bound equals
 * the k-th score is scored as well, because its documents may come first by docid.
 */
final class DynamicPruning {
  private static final int PROBES = 16; // the number of probes for few hits without a filter
  private static final int HITS_OF_PROBE = 8; // for so many more hits there is one more probe

  private final BlockBounds bounds = new BlockBounds();
  private final TopBuckets buckets = new TopBuckets();
  private final BlockMax blockMax = new BlockMax();
  private MaxScore maxScore; // created when it is first needed: it has sums for a whole window
  private int[] chosen = new int[0];

  /**
   * Searches a segment.
   *
   * @param lists whose scores fit into an int
   * @param engine how the blocks are scored after the probes; with a limit of blocks always by
   *     {@link BlockMax}
   */
  void search(
      QueryLists lists, TopHits top, Approximation approximation, Engine engine, Profile profile) {
    int blocks = BlockMaxima.count(lists.maxDoc);
    if (chosen.length < blocks) {
      chosen = new int[blocks];
    }
    profile.blocks += blocks;
    lists.arrange();
    bounds.begin(lists);
    int limit = approximation.blocks() == 0 ? Integer.MAX_VALUE : approximation.blocks();
    int scored = probe(lists, limit, top, approximation, profile);
    long threshold = approximation.leastBound(top.threshold());
    bounds.refine(lists, threshold);
    int count = bounds.choose(lists, threshold, chosen);
    profile.bounded();
    if (approximation.blocks() == 0 && isForMaxScore(engine, count, lists)) {
      if (maxScore == null) {
        maxScore = new MaxScore();
      }
      maxScore.score(lists, bounds, chosen, count, top, approximation, profile);
      profile.leavesByMaxScore++;
    } else {
      if (limit > scored) {
        scoreLargest(lists, count, limit - scored, limit - scored, top, approximation, profile);
      }
      profile.leavesByBlockMax++;
    }
    bounds.end();
    profile.scored();
  }

  /** Scores the blocks with the largest bounds; returns how many. */
  private int probe(
      QueryLists lists, int limit, TopHits top, Approximation approximation, Profile profile) {
    double wanted = lists.oneAcceptedIn() * (PROBES + top.depth() / HITS_OF_PROBE);
    int probes = (int) Math.min(limit, wanted);
    long threshold = approximation.leastBound(top.threshold());
    bounds.refineLargest(lists, probes, threshold);
    int count = bounds.choose(lists, threshold, chosen);
    profile.bounded();
    int scored = scoreLargest(lists, count, probes, limit, top, approximation, profile);
    profile.probed();
    return scored;
  }

  private static boolean isForMaxScore(Engine engine, int count, QueryLists lists) {
    return switch (engine) {
      case MAXSCORE -> true;
      case BLOCKMAX -> false;
      default -> CostModel.maxScore(count, lists) < CostModel.blockMax(count, lists);
    };
  }

  /**
   * Scores at least {@code wanted} of the chosen blocks, if so many can have hits: those with the
   * largest bounds.
   */
  private int scoreLargest(
      QueryLists lists,
      int count,
      int wanted,
      int limit,
      TopHits top,
      Approximation approximation,
      Profile profile) {
    int cut = 0;
    if (count > wanted) {
      cut = buckets.leastOfLargest(bounds.ofBlocks, chosen, count, wanted);
    }
    return blockMax.score(lists, bounds, chosen, count, cut, limit, top, approximation, profile);
  }
}
