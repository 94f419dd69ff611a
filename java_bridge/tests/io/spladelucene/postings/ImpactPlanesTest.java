package io.spladelucene.postings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class ImpactPlanesTest {
  private static final int[] LARGEST = {1, 255, 256, 510, 511, 65_535, 1 << 24, Integer.MAX_VALUE};

  @Test
  void theSumOfTheProductsIsTheImpact() {
    Random random = new Random(6);
    for (int largest : LARGEST) {
      RandomPostings postings = RandomPostings.draw(random, 2000, 0.5, largest);
      ImpactPlanes planes = postings.planes();
      for (int doc = 0; doc < postings.maxDoc(); doc++) {
        long sum = 0;
        for (int i = 0; i < planes.lists().length; i++) {
          sum += (long) planes.factors()[i] * planes.lists()[i].impactOf(doc);
        }
        assertEquals(postings.impacts()[doc], sum, "document " + doc);
      }
    }
  }

  @Test
  void theSumOfTheLargestIsABoundAndExactUpTo510() {
    Random random = new Random(7);
    for (int largest : LARGEST) {
      ImpactPlanes planes = RandomPostings.draw(random, 2000, 0.5, largest).planes();
      long bound = 0;
      for (int i = 0; i < planes.lists().length; i++) {
        bound += (long) planes.factors()[i] * planes.lists()[i].atLeast(1);
      }
      assertTrue(bound >= largest, "bound " + bound + " of " + largest);
      assertTrue(largest > 510 || bound == largest, "bound " + bound + " of " + largest);
    }
  }

  @Test
  void smallImpactsAreOneList() {
    ImpactPlanes planes = RandomPostings.draw(new Random(8), 500, 0.5, 255).planes();
    assertEquals(1, planes.lists().length);
    assertEquals(1, planes.factors()[0]);
  }
}
