package io.spladelucene.index;

import io.spladelucene.postings.ForwardBlock;
import io.spladelucene.postings.InvertedBlock;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ForkJoinPool;
import java.util.stream.IntStream;

/**
 * Turns inverted blocks into blocks of the same documents in the order of {@link GraphBisection}.
 */
final class Reordering {
  private static final int TERMS = 24; // a document is ordered by so many terms, the heaviest
  private static final int BLOCK = 4096; // documents of a new block

  private final List<ForwardBlock> blocks = new ArrayList<>();
  private final int dictionarySize;
  private final int[] bases; // the first document of each block, and the number of documents

  private Reordering(List<ForwardBlock> blocks, int dictionarySize) {
    this.blocks.addAll(blocks);
    this.dictionarySize = dictionarySize;
    bases = new int[blocks.size() + 1];
    for (int block = 0; block < blocks.size(); block++) {
      bases[block + 1] = Math.addExact(bases[block], blocks.get(block).documents());
    }
  }

  /**
   * Reorders documents.
   *
   * @param blocks set to {@code null} one by one, so that their memory can be reused
   * @param dictionarySize greater than every term id in use
   */
  static List<InvertedBlock> reorder(List<InvertedBlock> blocks, int dictionarySize, int threads)
      throws Exception {
    ForkJoinPool pool = new ForkJoinPool(threads);
    try {
      List<ForwardBlock> forward =
          pool.submit(
                  () ->
                      IntStream.range(0, blocks.size())
                          .parallel()
                          .mapToObj(i -> new ForwardBlock(blocks.set(i, null)))
                          .toList())
              .get();
      Reordering reordering = new Reordering(forward, dictionarySize);
      int[] order = reordering.order(pool, threads);
      int count = (order.length + BLOCK - 1) / BLOCK;
      return pool.submit(
              () ->
                  IntStream.range(0, count)
                      .parallel()
                      .mapToObj(
                          i ->
                              reordering.gather(
                                  order, i * BLOCK, Math.min(order.length, (i + 1) * BLOCK)))
                      .toList())
          .get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    } finally {
      pool.shutdownNow();
    }
  }

  private int[] order(ForkJoinPool pool, int threads)
      throws InterruptedException, ExecutionException {
    int documents = bases[blocks.size()];
    int[][] terms = new int[documents][];
    pool.submit(
            () ->
                IntStream.range(0, blocks.size())
                    .parallel()
                    .forEach(
                        block -> {
                          ForwardBlock forward = blocks.get(block);
                          for (int document = 0; document < forward.documents(); document++) {
                            terms[bases[block] + document] = forward.heaviestTerms(document, TERMS);
                          }
                        }))
        .get();
    int[] starts = new int[documents + 1];
    for (int document = 0; document < documents; document++) {
      starts[document + 1] = Math.addExact(starts[document], terms[document].length);
    }
    int[] all = new int[starts[documents]];
    for (int document = 0; document < documents; document++) {
      System.arraycopy(terms[document], 0, all, starts[document], terms[document].length);
      terms[document] = null;
    }
    return GraphBisection.order(starts, all, dictionarySize, threads);
  }

  private InvertedBlock gather(int[] order, int from, int to) {
    InvertedBlock.Builder builder = new InvertedBlock.Builder(blocks.get(0).hasTexts());
    for (int i = from; i < to; i++) {
      int block = blockOf(order[i]);
      blocks.get(block).addTo(builder, order[i] - bases[block]);
    }
    return builder.invert(dictionarySize);
  }

  private int blockOf(int document) {
    int at = Arrays.binarySearch(bases, document);
    return at >= 0 ? at : -at - 2;
  }
}
