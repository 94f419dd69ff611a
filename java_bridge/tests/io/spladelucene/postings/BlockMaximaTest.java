package io.spladelucene.postings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BlockMaximaTest {
  private static final int BLOCK = 1 << BlockMaxima.SHIFT;
  private static final int[] MAX_DOCS = {1, 64, 65, 512, 513, 65_536, 65_537, 150_000};
  private static final double[] DENSITIES = {0, 0.0001, 0.001, 0.01, 0.5, 1};

  private interface Check {
    void of(RandomPostings postings, BlockMaxima maxima);
  }

  private static void forRandomLists(Check check) {
    Random random = new Random(9);
    int dense = 0;
    int sparse = 0;
    for (int maxDoc : MAX_DOCS) {
      for (double density : DENSITIES) {
        RandomPostings postings = RandomPostings.draw(random, maxDoc, density, 255);
        BlockMaxima maxima = postings.decoded().blocks();
        dense += maxima.isDense() ? 1 : 0;
        sparse += maxima.isDense() ? 0 : 1;
        check.of(postings, maxima);
      }
    }
    assertTrue(dense > 5 && sparse > 5, dense + " dense, " + sparse + " sparse");
  }

  @Test
  void theMaximumOfABlockIsThatOfItsDocuments() {
    forRandomLists(
        (postings, maxima) -> {
          for (int block = 0; block < BlockMaxima.count(postings.maxDoc()); block++) {
            int expected = postings.maximum(block * BLOCK, (block + 1) * BLOCK);
            assertEquals(expected, maxima.maximum(block), "block " + block);
          }
        });
  }

  @Test
  void theMaximumOfAGroupIsThatOfItsBlocks() {
    forRandomLists(
        (postings, maxima) -> {
          if (!maxima.isDense()) {
            assertNull(maxima.groupMaxima);
            return;
          }
          int documents = BLOCK * BlockMaxima.GROUP;
          int groups = BlockMaxima.groups(postings.maxDoc());
          assertEquals(groups, maxima.groupMaxima.length);
          assertEquals(groups * BlockMaxima.GROUP, maxima.maxima.length);
          for (int group = 0; group < groups; group++) {
            int expected = postings.maximum(group * documents, (group + 1) * documents);
            assertEquals(expected, maxima.groupMaxima[group], "group " + group);
          }
        });
  }

  @Test
  void sparseMaximaAreAddedToBlocksAndGroups() {
    forRandomLists(
        (postings, maxima) -> {
          if (maxima.isDense()) {
            return;
          }
          int groups = BlockMaxima.groups(postings.maxDoc());
          int[] bounds = new int[groups * BlockMaxima.GROUP];
          int[] groupBounds = new int[groups];
          Arrays.fill(bounds, 1);
          Arrays.fill(groupBounds, 2);
          maxima.addTo(bounds, groupBounds, 3);
          int[] expectedOfGroups = new int[groups];
          for (int block = 0; block < bounds.length; block++) {
            int product = 0;
            if (block * BLOCK < postings.maxDoc()) {
              product = 3 * postings.maximum(block * BLOCK, (block + 1) * BLOCK);
            }
            assertEquals(1 + product, bounds[block]);
            int group = block >> BlockMaxima.GROUP_SHIFT;
            expectedOfGroups[group] = Math.max(expectedOfGroups[group], 2 + product);
          }
          assertArrayEquals(expectedOfGroups, groupBounds);
        });
  }

  @Test
  void runsOfBlocksHaveTheirPostings() {
    Random random = new Random(10);
    forRandomLists(
        (postings, maxima) -> {
          int[] docs = postings.docs();
          int blocks = BlockMaxima.count(postings.maxDoc());
          int runs = 50;
          int[] firsts = new int[runs];
          int[] lasts = new int[runs];
          for (int i = 0; i < runs; i++) {
            firsts[i] = random.nextInt(blocks);
            int windowEnd = (firsts[i] >> BlockMaxima.IN_WINDOW) + 1 << BlockMaxima.IN_WINDOW;
            int end = Math.min(blocks, windowEnd);
            lasts[i] = firsts[i] + random.nextInt(end - firsts[i]);
          }
          int[] from = new int[runs];
          int[] to = new int[runs];
          maxima.find(firsts, lasts, runs, from, to);
          for (int i = 0; i < runs; i++) {
            int first = firsts[i] * BLOCK;
            int end = (lasts[i] + 1) * BLOCK;
            int[] expected = Arrays.stream(docs).filter(d -> d >= first && d < end).toArray();
            assertArrayEquals(expected, Arrays.copyOfRange(docs, from[i], to[i]), "run " + i);
          }
        });
  }
}
