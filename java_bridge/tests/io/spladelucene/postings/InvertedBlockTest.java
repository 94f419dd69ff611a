package io.spladelucene.postings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class InvertedBlockTest {
  private static final int DICTIONARY = 100_000;

  private static List<TreeMap<Integer, Integer>> draw(Random random, int documents) {
    List<TreeMap<Integer, Integer>> vectors = new ArrayList<>();
    for (int document = 0; document < documents; document++) {
      TreeMap<Integer, Integer> vector = new TreeMap<>();
      for (int left = 1 + random.nextInt(40); left > 0; left--) {
        vector.put(random.nextInt(random.nextBoolean() ? 20 : DICTIONARY), 1 + random.nextInt(9));
      }
      vector.replaceAll((term, impact) -> impact == 9 ? Integer.MAX_VALUE / 64 : impact);
      vectors.add(vector);
    }
    return vectors;
  }

  private static byte[] name(int document) {
    return ("docid" + document).getBytes(StandardCharsets.UTF_8);
  }

  private static void add(
      InvertedBlock.Builder builder, int document, Map<Integer, Integer> terms) {
    terms.forEach(builder::addPosting);
    byte[] docid = name(document);
    builder.endDocument(docid, 0, docid.length, document % 2 == 0 ? docid : null, null);
  }

  private static InvertedBlock invert(List<TreeMap<Integer, Integer>> vectors) {
    InvertedBlock.Builder builder = new InvertedBlock.Builder();
    for (int document = 0; document < vectors.size(); document++) {
      add(builder, document, vectors.get(document));
    }
    return builder.invert(DICTIONARY);
  }

  /** The vectors of a block's documents, from its postings; checks its statistics, too. */
  private static List<TreeMap<Integer, Integer>> vectorsOf(InvertedBlock block) {
    List<TreeMap<Integer, Integer>> vectors = new ArrayList<>();
    for (int document = 0; document < block.documents; document++) {
      vectors.add(new TreeMap<>());
    }
    for (int term = 0; term < block.termIds.length; term++) {
      int documents = 0;
      long total = 0;
      int previous = -1;
      for (InvertedBlock.Cursor cursor = block.new Cursor(term); cursor.next(); ) {
        assertTrue(cursor.document > previous, "postings ascend");
        previous = cursor.document;
        assertNull(vectors.get(cursor.document).put(block.termIds[term], cursor.impact));
        documents++;
        total += cursor.impact;
      }
      assertEquals(documents, block.docFreqs[term]);
      assertEquals(total, block.totalImpacts[term]);
    }
    return vectors;
  }

  @Test
  void aBlockHasThePostingsOfItsDocuments() {
    List<TreeMap<Integer, Integer>> vectors = draw(new Random(11), 3000);
    InvertedBlock block = invert(vectors);
    assertEquals(vectors, vectorsOf(block));
    assertArrayEquals(name(2999), block.docids[2999]);
    assertArrayEquals(name(2998), block.stored[2998]);
    assertNull(block.stored[2999]);
  }

  @Test
  void aBuilderIsEmptyAfterABlock() {
    InvertedBlock.Builder builder = new InvertedBlock.Builder();
    for (int seed = 0; seed < 3; seed++) {
      List<TreeMap<Integer, Integer>> vectors = draw(new Random(seed), 50);
      vectors.forEach(vector -> add(builder, 0, vector));
      assertEquals(vectors, vectorsOf(builder.invert(DICTIONARY)));
      assertEquals(0, builder.documents());
      assertEquals(0, builder.pendingPostings());
    }
  }

  @Test
  void rollbackRemovesThePostingsSinceTheMark() {
    InvertedBlock.Builder builder = new InvertedBlock.Builder();
    add(builder, 0, Map.of(1, 10));
    int mark = builder.mark();
    builder.addPosting(2, 20);
    assertEquals(1, builder.pendingPostings());
    builder.rollback(mark);
    assertEquals(0, builder.pendingPostings());
    add(builder, 1, Map.of(3, 30));
    assertEquals(
        List.of(new TreeMap<>(Map.of(1, 10)), new TreeMap<>(Map.of(3, 30))),
        vectorsOf(builder.invert(DICTIONARY)));
  }

  @Test
  void aDocumentIsTooHeavyIfItsImpactsDoNotSumToAnInt() {
    InvertedBlock.Builder builder = new InvertedBlock.Builder();
    add(builder, 0, Map.of(1, Integer.MAX_VALUE)); // another document does not count
    builder.addPosting(1, Integer.MAX_VALUE - 1);
    builder.addPosting(2, 1);
    assertFalse(builder.isTooHeavy());
    builder.addPosting(3, 1);
    assertTrue(builder.isTooHeavy());
  }

  @Test
  void withoutKeepsTheOtherDocuments() {
    List<TreeMap<Integer, Integer>> vectors = draw(new Random(12), 500);
    boolean[] drop = new boolean[500];
    List<TreeMap<Integer, Integer>> expected = new ArrayList<>();
    for (int document = 0; document < 500; document++) {
      drop[document] = document % 3 == 0;
      if (!drop[document]) {
        expected.add(vectors.get(document));
      }
    }
    InvertedBlock kept = invert(vectors).without(drop);
    assertEquals(expected, vectorsOf(kept));
    assertArrayEquals(name(1), kept.docids[0]);
    assertArrayEquals(name(2), kept.stored[1]);
  }

  @Test
  void aForwardBlockHasTheSameDocuments() {
    List<TreeMap<Integer, Integer>> vectors = draw(new Random(13), 500);
    ForwardBlock forward = new ForwardBlock(invert(vectors));
    assertEquals(500, forward.documents());
    InvertedBlock.Builder builder = new InvertedBlock.Builder();
    List<TreeMap<Integer, Integer>> reversed = new ArrayList<>();
    for (int document = 499; document >= 0; document--) {
      forward.addTo(builder, document);
      reversed.add(vectors.get(document));
    }
    InvertedBlock block = builder.invert(DICTIONARY);
    assertEquals(reversed, vectorsOf(block));
    assertArrayEquals(name(499), block.docids[0]);
  }

  @Test
  void heaviestTermsAreThoseOfTheLargestImpacts() {
    TreeMap<Integer, Integer> vector = new TreeMap<>(Map.of(9, 5, 7, 5, 3, 8, 1, 2));
    ForwardBlock forward = new ForwardBlock(invert(List.of(vector)));
    assertArrayEquals(new int[] {3, 7}, forward.heaviestTerms(0, 2));
    assertArrayEquals(new int[] {3, 7, 9}, forward.heaviestTerms(0, 3));
    assertArrayEquals(new int[] {1, 3, 7, 9}, forward.heaviestTerms(0, 10));
  }
}
