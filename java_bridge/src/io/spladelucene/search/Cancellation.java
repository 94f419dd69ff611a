package io.spladelucene.search;

import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;

/**
 * Stops searches from another thread. A search asks between pieces of its work, each of which takes
 * a millisecond or so; when it is stopped, it throws, so that a part of its hits is never taken for
 * all of them.
 */
public class Cancellation implements BooleanSupplier {
  /** Of searches that nobody stops. */
  public static final Cancellation NEVER = new Cancellation();

  private volatile boolean isCancelled;

  /** Stops the searches that have this cancellation, and all that will have it. */
  public void cancel() {
    isCancelled = true;
  }

  /** Whether the searches are stopped. */
  public boolean isCancelled() {
    return isCancelled;
  }

  /** The same, for what need not know this class. */
  @Override
  public final boolean getAsBoolean() {
    return isCancelled();
  }

  /**
   * Does nothing as long as the searches go on.
   *
   * @throws CancellationException if they are stopped
   */
  public final void check() {
    if (isCancelled()) {
      throw new CancellationException("this search was cancelled");
    }
  }
}
