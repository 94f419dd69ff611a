package io.spladelucene;

import java.nio.ByteBuffer;

/** What a query's search did and how long each stage took. */
final class Profile {
  static final int BYTES = 8 * 13;

  long leavesByBlockMax;
  long leavesByMaxScore;
  long leavesByTerm;
  long leavesStreamed;
  long postings; // of the query's terms
  long postingsScored;
  long blocks;
  long blocksScored;
  boolean metDamage; // an accelerator that was in use
  private long lookup; // nanoseconds
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

  /** The lists are at hand. */
  void lookedUp() {
    lookup += tick();
  }

  /** The bounds of blocks are known. */
  void bounded() {
    bounds += tick();
  }

  /** The most promising blocks are scored. */
  void probed() {
    probes += tick();
  }

  /** The rest of a leaf is scored, too. */
  void scored() {
    tick();
  }

  void write(ByteBuffer out) {
    long all = System.nanoTime() - start;
    out.putLong(leavesByBlockMax).putLong(leavesByMaxScore).putLong(leavesByTerm).putLong(leavesStreamed);
    out.putLong(postings).putLong(postingsScored).putLong(blocks).putLong(blocksScored);
    out.putLong(lookup).putLong(bounds).putLong(probes).putLong(all).putLong(metDamage ? 1 : 0);
  }
}
