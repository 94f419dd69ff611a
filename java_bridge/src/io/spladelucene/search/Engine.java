package io.spladelucene.search;

/** How a segment is searched. All engines find the same hits. */
public enum Engine {
  /** The engine that {@link CostModel} estimates to be the fastest. */
  AUTO,
  /** {@link BlockMax}. */
  BLOCKMAX,
  /** {@link MaxScore}. */
  MAXSCORE,
  /** {@link TermAtATime}. */
  TAAT
}
