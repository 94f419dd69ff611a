/**
 * Several impact indexes as one: to search them, and to merge them into a new index.
 *
 * <p>{@link io.spladelucene.join.DuplicateDocids} finds the docids that are in more than one index.
 * The documents of all but the last are presented as deleted by {@link
 * io.spladelucene.join.HidingReader}, so that searches, filters, counts and merges leave them out
 * without knowing about it.
 */
package io.spladelucene.join;
