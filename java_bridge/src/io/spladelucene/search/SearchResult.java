package io.spladelucene.search;

/**
 * The result of one query.
 *
 * @param hits in order
 * @param profile what the search did
 */
record SearchResult(TopHits hits, Profile profile) {}
