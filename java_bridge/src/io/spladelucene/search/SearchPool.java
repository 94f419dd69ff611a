package io.spladelucene.search;

import java.io.Closeable;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.lucene.store.AlreadyClosedException;

/**
 * The threads of a searcher. They are daemons, are started when they are needed, and end after a
 * minute without work. Several batches may be searched at the same time.
 */
final class SearchPool implements Closeable {
  /** What is done for one query of a batch. */
  interface Task {
    /** Does it for the query at a position. */
    void run(int query) throws Exception;
  }

  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          task -> {
            Thread thread = new Thread(task, "impact-searcher");
            thread.setDaemon(true);
            return thread;
          });

  /**
   * Runs a task for each of the queries from 0 to {@code count}, exclusive, and waits for the end.
   *
   * @param concurrency the number of threads; with 1, or for one query, the calling thread works
   * @throws AlreadyClosedException if the pool is closed
   * @throws Exception the first one that a task threw; then all threads have ended
   */
  void forEach(int count, int concurrency, Task task) throws Exception {
    if (concurrency == 1 || count == 1) {
      for (int query = 0; query < count; query++) {
        task.run(query);
      }
      return;
    }
    AtomicInteger next = new AtomicInteger();
    Callable<Void> worker =
        () -> {
          for (int query = next.getAndIncrement(); query < count; query = next.getAndIncrement()) {
            task.run(query);
          }
          return null;
        };
    List<Future<Void>> running = new ArrayList<>();
    for (int i = 0; i < Math.min(concurrency, count); i++) {
      try {
        running.add(threads.submit(worker));
      } catch (RejectedExecutionException e) {
        throw new AlreadyClosedException("this searcher is closed", e);
      }
    }
    Exception failure = null;
    for (Future<Void> each : running) {
      try {
        each.get();
      } catch (ExecutionException e) {
        if (failure == null) {
          failure = e.getCause() instanceof Exception cause ? cause : e;
          next.set(count);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  /** Lets running tasks end, and refuses new ones. */
  @Override
  public void close() {
    threads.shutdown();
  }
}
