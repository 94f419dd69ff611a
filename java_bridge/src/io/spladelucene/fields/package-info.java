/**
 * Fields: typed values of a document beside its impacts, by which searches can be filtered.
 *
 * <p>{@link io.spladelucene.fields.FieldSchema} says which fields there are, and writes them so
 * that any Lucene reader can use them. {@link io.spladelucene.fields.JsonValues} reads values from
 * JSON, {@link io.spladelucene.fields.StoredValues} from an index.
 *
 * <p>This package uses {@code wire}.
 */
package io.spladelucene.fields;
