package io.spladelucene.search;

/**
 * How queries are searched.
 *
 * @param minIdf as in Pyserini: a term is ignored unless its idf exceeds this; negative: none is
 * @param approximation what may be left out
 */
public record SearchSettings(Engine engine, double minIdf, Approximation approximation) {}
