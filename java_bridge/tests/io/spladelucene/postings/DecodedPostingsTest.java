package io.spladelucene.postings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DecodedPostingsTest {
  private static final int[] MAX_DOCS = {1, 63, 64, 65, 65_535, 65_536, 65_537, 200_000};

  @Test
  void everyDocumentHasItsImpact() {
    Random random = new Random(2);
    for (int maxDoc : MAX_DOCS) {
      for (double density : new double[] {0.0005, 0.02, 0.9}) {
        RandomPostings postings = RandomPostings.draw(random, maxDoc, density, 255);
        DecodedPostings list = postings.decoded();
        assertEquals(postings.size(), list.size());
        for (int doc = 0; doc < maxDoc; doc++) {
          assertEquals(postings.impacts()[doc], list.impactOf(doc), "document " + doc);
        }
      }
    }
  }

  @Test
  void windowsSplitTheList() {
    RandomPostings postings = RandomPostings.draw(new Random(3), 200_000, 0.1, 255);
    DecodedPostings list = postings.decoded();
    int[] docs = postings.docs();
    assertEquals(5, list.windows.length);
    assertEquals(0, list.windows[0]);
    assertEquals(docs.length, list.windows[4]);
    for (int window = 0; window < 4; window++) {
      for (int i = list.windows[window]; i < list.windows[window + 1]; i++) {
        assertEquals(docs[i], window << DecodedPostings.WINDOW | list.docs[i]);
      }
    }
  }

  @Test
  void atLeastIsReachedByThatManyDocuments() {
    Random random = new Random(4);
    for (int round = 0; round < 20; round++) {
      RandomPostings postings = RandomPostings.draw(random, 30_000, random.nextDouble(), 255);
      DecodedPostings list = postings.decoded();
      assertEquals(255, list.atLeast(1));
      for (int k : new int[] {1, 2, 10, 11, 100, 101, 1000, 5000, 10_000}) {
        int impact = list.atLeast(k);
        long reached = Arrays.stream(postings.impacts()).filter(each -> each >= impact).count();
        assertTrue(impact == 0 || reached >= k, "k " + k + ", impact " + impact);
        assertTrue(impact > 0 || list.size() < 10_000, "none known though the list is long");
      }
      assertEquals(0, list.atLeast(10_001));
    }
  }

  @Test
  void writtenListsAreReadBack() {
    Random random = new Random(5);
    for (int maxDoc : MAX_DOCS) {
      for (double density : new double[] {0.0005, 0.9}) {
        DecodedPostings list = RandomPostings.draw(random, maxDoc, density, 255).decoded();
        ByteBuffer buffer =
            ByteBuffer.allocate((int) list.writtenBytes()).order(ByteOrder.LITTLE_ENDIAN);
        list.write(buffer);
        assertEquals(0, buffer.remaining());
        DecodedPostings again = DecodedPostings.read(buffer.flip(), maxDoc);
        assertEquals(0, buffer.remaining());
        assertArrayEquals(list.docs, again.docs);
        assertArrayEquals(list.impacts, again.impacts);
        assertArrayEquals(list.windows, again.windows);
        assertEquals(list.blocks().isDense(), again.blocks().isDense());
        assertArrayEquals(list.blocks().maxima, again.blocks().maxima);
        for (int k = 1; k < 20_000; k = 10 * k + 1) {
          assertEquals(list.atLeast(k), again.atLeast(k));
        }
      }
    }
  }
}
