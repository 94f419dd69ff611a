package io.spladelucene.index;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.spladelucene.RandomCollection;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.store.Directory;
import org.junit.jupiter.api.Test;

/** Distributions that are stopped before one of the terms. */
class DistributionsTest {
  private static final int TERMS = 30;

  @Test
  void theyStopBeforeAnyTerm() throws Exception {
    try (Directory directory = new ByteBuffersDirectory()) {
      try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
        writer.put(
            RandomCollection.pack(RandomCollection.documents(new Random(8), 500, TERMS, 10, 255)));
        writer.commit(new byte[0]);
      }
      try (ImpactIndexReader index = new ImpactIndexReader(directory)) {
        byte[] expected = Distributions.of(index.leaves(), () -> false);
        for (int last = 1; last <= TERMS; last++) {
          AtomicInteger left = new AtomicInteger(last);
          assertThrows(
              CancellationException.class,
              () -> Distributions.of(index.leaves(), () -> left.decrementAndGet() == 0));
        }
        assertArrayEquals(expected, Distributions.of(index.leaves(), () -> false));
      }
    }
  }
}
