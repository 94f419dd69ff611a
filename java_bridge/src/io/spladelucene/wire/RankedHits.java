package io.spladelucene.wire;

/** The hits of one query, by rank from 0. */
public interface RankedHits {
  /** The number of hits. */
  int size();

  /** The score of a hit. */
  long score(int rank);

  /** The lucene_docid of a hit. */
  int luceneDocid(int rank);
}
