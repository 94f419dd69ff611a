package io.spladelucene.join;

import io.spladelucene.index.ImpactIndexReader;
import io.spladelucene.index.ImpactIndexWriter;
import java.io.IOException;
import java.util.concurrent.CancellationException;
import org.apache.lucene.store.Directory;

/**
 * Writes the documents of an open index, which may be several as one, to a new index of one
 * segment.
 *
 * <p>A merge has a thread of its own, which the caller starts and may cancel. If it succeeds, the
 * caller commits it, or rolls it back.
 */
public final class IndexMerge {
  private final ImpactIndexReader source;
  private final Directory target;
  private final int createdMajor;
  private final boolean inInputOrder;
  private final int threads;
  private final long memory;
  private boolean cancelled = false;
  private volatile Throwable failure;
  private ImpactIndexWriter writer;
  private Thread thread;

  /**
   * Prepares a merge.
   *
   * @param target what is there is replaced
   * @param createdMajor the version of Lucene that created all sources
   * @param order {@code bp}: by graph bisection; {@code input}: in the order of the source
   * @param memory for the order, in bytes; larger indexes are ordered in pieces
   */
  public IndexMerge(
      ImpactIndexReader source,
      Directory target,
      int createdMajor,
      String order,
      int threads,
      long memory) {
    this.source = source;
    this.target = target;
    this.createdMajor = createdMajor;
    inInputOrder = order.equals("input");
    this.threads = threads;
    this.memory = memory;
  }

  /** Starts the merge and returns immediately. */
  public void start() {
    thread = new Thread(this::run, "index-merge");
    thread.setDaemon(true);
    thread.start();
  }

  /** Waits for the end of the merge, but not longer than a time; true if it has ended. */
  public boolean await(long millis) throws InterruptedException {
    thread.join(millis);
    return !thread.isAlive();
  }

  /** Asks the merge to stop, or drops what it has written. {@link #await} says when it has. */
  public synchronized void cancel() throws IOException {
    cancelled = true;
    thread.interrupt();
    if (writer != null) {
      writer.rollback();
    }
  }

  private synchronized void finish(ImpactIndexWriter opened) {
    if (cancelled) {
      throw new CancellationException("cancelled");
    }
    writer = opened;
  }

  /**
   * The writer of a merge that has ended, with the documents, which are not committed yet.
   *
   * @throws Exception what made the merge fail
   */
  public synchronized ImpactIndexWriter writer() throws Exception {
    if (failure instanceof Exception e) {
      throw e;
    }
    if (failure instanceof Error e) {
      throw e;
    }
    return writer;
  }

  private void run() {
    try {
      ImpactIndexWriter opened = new ImpactIndexWriter(target, createdMajor);
      try {
        source.use(
            () -> {
              opened.addAll(source);
              return null;
            });
        if (inInputOrder) {
          opened.merge();
        } else {
          opened.optimize(threads, memory);
        }
        finish(opened);
      } catch (Throwable e) {
        throw opened.rolledBack(e);
      }
    } catch (Throwable e) {
      failure = e;
    }
  }
}
