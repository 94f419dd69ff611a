package io.spladelucene.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.postings.BlockMaxima;
import io.spladelucene.postings.RandomPostings;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A bound is never below a score: otherwise hits would be missed. */
class BlockBoundsTest {
  private static final int BLOCK = 1 << BlockMaxima.SHIFT;

  /** The lists of a random query, and the score of each document. */
  private record Drawn(QueryLists lists, long[] scores) {
    static Drawn of(Random random) {
      return of(random, 1 + random.nextInt(30_000), null);
    }

    static Drawn of(Random random, int maxDoc, AcceptedDocuments accepted) {
      int terms = 1 + random.nextInt(random.nextBoolean() ? 3 : 20);
      QueryLists lists = new QueryLists(terms, 0, maxDoc, accepted);
      long[] scores = new long[maxDoc];
      for (int term = 0; term < terms; term++) {
        double density = Math.pow(random.nextDouble(), 6);
        int largest = random.nextInt(4) == 0 ? 2000 : 255;
        RandomPostings postings = RandomPostings.draw(random, maxDoc, density, largest);
        int queryImpact = 1 + random.nextInt(100);
        lists.add(postings.planes(), queryImpact);
        for (int doc = 0; doc < maxDoc; doc++) {
          scores[doc] += (long) queryImpact * postings.impacts()[doc];
        }
      }
      return new Drawn(lists, scores);
    }

    int blocks() {
      return BlockMaxima.count(lists.maxDoc);
    }

    long largestScore(int block) {
      int end = Math.min(scores.length, (block + 1) * BLOCK);
      return Arrays.stream(scores, block * BLOCK, end).max().orElseThrow();
    }
  }

  @Test
  void theBoundOfABlockIsNotBelowItsScores() {
    Random random = new Random(31);
    BlockBounds bounds = new BlockBounds();
    for (int round = 0; round < 100; round++) {
      Drawn drawn = Drawn.of(random);
      drawn.lists.arrange();
      bounds.begin(drawn.lists);
      bounds.refine(drawn.lists, 0);
      for (int block = 0; block < drawn.blocks(); block++) {
        assertTrue(bounds.ofBlocks[block] >= drawn.largestScore(block), "before choosing " + block);
      }
      bounds.choose(drawn.lists, 0, new int[drawn.blocks()]);
      for (int block = 0; block < drawn.blocks(); block++) {
        long score = drawn.largestScore(block);
        assertTrue(bounds.ofBlocks[block] >= score, "block " + block + " of round " + round);
      }
      bounds.end();
    }
  }

  @Test
  void noBlockThatReachesTheThresholdIsMissed() {
    Random random = new Random(32);
    BlockBounds bounds = new BlockBounds();
    int chosenInAll = 0;
    int blocksInAll = 0;
    for (int round = 0; round < 200; round++) {
      Drawn drawn = Drawn.of(random);
      // A score that occurs: a block whose bound equals it must be chosen, too.
      long threshold =
          random.ints(8, 0, drawn.blocks()).mapToLong(drawn::largestScore).max().orElseThrow();
      long first = (long) (threshold * random.nextDouble());
      drawn.lists.arrange();
      bounds.begin(drawn.lists);
      int[] chosen = new int[drawn.blocks()];
      bounds.refineLargest(drawn.lists, 1 + random.nextInt(50), first);
      bounds.choose(drawn.lists, first, chosen);
      bounds.refine(drawn.lists, threshold);
      int count = bounds.choose(drawn.lists, threshold, chosen);
      int[] found = Arrays.copyOf(chosen, count);
      assertTrue(IntStream.range(1, count).allMatch(i -> found[i - 1] < found[i]), "ascending");
      for (int block = 0; block < drawn.blocks(); block++) {
        if (drawn.largestScore(block) >= threshold) {
          assertTrue(Arrays.binarySearch(found, block) >= 0, block + " of round " + round);
        }
      }
      bounds.end();
      chosenInAll += count;
      blocksInAll += drawn.blocks();
    }
    assertTrue(
        chosenInAll < 0.75 * blocksInAll, chosenInAll + " of " + blocksInAll + " were chosen");
  }

  @Test
  void theBoundOfAGroupIsTheSumOfTheLargestProducts() {
    Random random = new Random(36);
    BlockBounds bounds = new BlockBounds();
    int documents = BLOCK * BlockMaxima.GROUP;
    for (int round = 0; round < 30; round++) {
      QueryLists lists = Drawn.of(random).lists;
      lists.arrange();
      bounds.begin(lists);
      for (int group = 0; group < BlockMaxima.groups(lists.maxDoc); group++) {
        int end = Math.min(lists.maxDoc, (group + 1) * documents);
        long expected = 0;
        for (int i = 0; i < lists.size; i++) {
          int largest = 0;
          for (int doc = group * documents; doc < end; doc++) {
            largest = Math.max(largest, lists.postings[i].impactOf(doc));
          }
          expected += (long) lists.queryImpacts[i] * largest;
        }
        assertEquals(expected, bounds.ofGroups[group], "group " + group + " of round " + round);
      }
      bounds.end();
    }
  }

  @Test
  void whatTheLightListsAddIsNotBelowTheirScores() {
    Random random = new Random(33);
    BlockBounds bounds = new BlockBounds();
    int light = 0;
    for (int round = 0; round < 100; round++) {
      Drawn drawn = Drawn.of(random);
      QueryLists lists = drawn.lists;
      lists.arrange();
      light += lists.size - lists.heavy;
      bounds.begin(lists);
      bounds.refine(lists, 0);
      int[] chosen = new int[drawn.blocks()];
      int count = bounds.choose(lists, 0, chosen);
      for (int i = 0; i < count; i++) {
        int end = Math.min(lists.maxDoc, (chosen[i] + 1) * BLOCK);
        for (int doc = chosen[i] * BLOCK; doc < end; doc += 7) {
          long score = 0;
          for (int list = lists.heavy; list < lists.size; list++) {
            score += (long) lists.queryImpacts[list] * lists.postings[list].impactOf(doc);
          }
          assertTrue(bounds.ofLight(chosen[i]) >= score, "document " + doc);
        }
      }
      bounds.end();
    }
    assertTrue(light > 0, "no list was light");
  }

  @Test
  void scoresOfDocumentsAndTheFloorFollowFromTheLists() {
    Random random = new Random(34);
    for (int round = 0; round < 50; round++) {
      Drawn drawn = Drawn.of(random);
      for (int doc = 0; doc < drawn.scores.length; doc += 13) {
        assertEquals(drawn.scores[doc], drawn.lists.scoreOf(doc));
      }
      for (int k : new int[] {1, 10, 100, 1000}) {
        long floor = drawn.lists.floor(k);
        long reached = Arrays.stream(drawn.scores).filter(score -> score >= floor).count();
        assertTrue(floor == 0 || reached >= k, "k = " + k);
      }
    }
  }

  @Test
  void theFloorIsReachedByAcceptedDocuments() {
    Random random = new Random(36);
    int known = 0;
    for (int round = 0; round < 50; round++) {
      int maxDoc = 1 + random.nextInt(30_000);
      double share = random.nextDouble();
      long[] bits = new long[(maxDoc - 1 >> 6) + 1];
      for (int doc = 0; doc < maxDoc; doc++) {
        bits[doc >> 6] |= random.nextDouble() < share ? 1L << doc : 0;
      }
      AcceptedDocuments accepted = new AcceptedDocuments(bits, maxDoc, 1 << 20);
      Drawn drawn = Drawn.of(random, maxDoc, accepted);
      for (int k : new int[] {1, 10, 100, 1000}) {
        long floor = drawn.lists.floor(k);
        int reached = 0;
        for (int doc = 0; doc < maxDoc; doc++) {
          reached += drawn.lists.accepts(doc) && drawn.scores[doc] >= floor ? 1 : 0;
        }
        assertTrue(floor == 0 || reached >= k, "k = " + k);
        known += floor > 0 ? 1 : 0;
      }
    }
    assertTrue(known > 50);
  }

  @Test
  void bucketsFindABoundThatEnoughReach() {
    Random random = new Random(35);
    TopBuckets buckets = new TopBuckets();
    for (int round = 0; round < 500; round++) {
      int[] bounds = random.ints(1 + random.nextInt(2000), 0, 1 << random.nextInt(31)).toArray();
      int[] chosen = IntStream.range(0, bounds.length).filter(i -> i % 3 != 1).toArray();
      int wanted = 1 + random.nextInt(chosen.length);
      int cut = buckets.leastOfLargest(bounds, chosen, chosen.length, wanted);
      long reached = Arrays.stream(chosen).filter(i -> bounds[i] >= cut).count();
      assertTrue(reached >= wanted, reached + " of " + wanted);
    }
  }
}
