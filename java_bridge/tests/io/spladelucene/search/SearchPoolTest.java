package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.apache.lucene.store.AlreadyClosedException;
import org.junit.jupiter.api.Test;

class SearchPoolTest {
  @Test
  void everyQueryIsSearchedOnce() throws Exception {
    try (SearchPool pool = new SearchPool()) {
      for (int threads : new int[] {1, 2, 3, 50}) {
        for (int count : new int[] {0, 1, 2, 1000}) {
          AtomicIntegerArray runs = new AtomicIntegerArray(count + 1);
          pool.forEach(count, threads, runs::incrementAndGet);
          for (int query = 0; query < count; query++) {
            assertEquals(1, runs.get(query));
          }
          assertEquals(0, runs.get(count));
        }
      }
    }
  }

  @Test
  void oneThreadIsThatOfTheCaller() throws Exception {
    Set<Thread> threads = ConcurrentHashMap.newKeySet();
    try (SearchPool pool = new SearchPool()) {
      pool.forEach(5, 1, query -> threads.add(Thread.currentThread()));
      pool.forEach(1, 8, query -> threads.add(Thread.currentThread()));
    }
    assertEquals(Set.of(Thread.currentThread()), threads);
  }

  @Test
  void whatATaskThrowsReachesTheCaller() {
    IOException failure = new IOException("a broken disk");
    try (SearchPool pool = new SearchPool()) {
      for (int threads : new int[] {1, 4}) {
        SearchPool.Task task =
            query -> {
              if (query == 7) {
                throw failure;
              }
            };
        assertSame(failure, assertThrows(IOException.class, () -> pool.forEach(20, threads, task)));
      }
    }
  }

  @Test
  void aClosedPoolSaysSo() {
    SearchPool pool = new SearchPool();
    pool.close();
    assertThrows(AlreadyClosedException.class, () -> pool.forEach(2, 2, query -> {}));
  }
}
