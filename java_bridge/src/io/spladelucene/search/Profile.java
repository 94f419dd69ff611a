package io.spladelucene.search;

/**
 * Counts what the search of one query did, and measures its stages. A stage lasts from the end of
 * the one before.
 */
final class Profile {
  long leavesByBlockMax;
  long leavesByMaxScore;
  long leavesByTerm;
  long leavesStreamed;
  long postings; // of all terms of the query
  long postingsScored;
  long blocks;
  long blocksScored;
  boolean metDamage; // whether an accelerator turned out to be damaged

  // Nanoseconds:
  private long lookup;
  private long bounds;
  private long probes;
  private final long start = System.nanoTime();
  private long last = start;

  private long tick() {
    long now = System.nanoTime();
    long passed = now - last;
    last = now;
    return passed;
  }

  /** Ends the stage in which the lists were found. */
  void lookedUp() {
    lookup += tick();
  }

  /** Ends a stage in which bounds of blocks were computed. */
  void bounded() {
    bounds += tick();
  }

  /** Ends the stage in which the probes were scored. */
  void probed() {
    probes += tick();
  }

  /** Ends the stage in which the rest of a segment was scored. */
  void scored() {
    tick();
  }

  /** All counters, in the order in which Python expects them. */
  long[] counters() {
    long all = System.nanoTime() - start;
    return new long[] {
      leavesByBlockMax,
      leavesByMaxScore,
      leavesByTerm,
      leavesStreamed,
      postings,
      postingsScored,
      blocks,
      blocksScored,
      lookup,
      bounds,
      probes,
      all,
      metDamage ? 1 : 0
    };
  }
}
