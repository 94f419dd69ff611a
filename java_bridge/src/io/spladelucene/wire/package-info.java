/**
 * The packed formats that cross between Python and Java.
 *
 * <p>Python passes whole batches as arrays of bytes and gets arrays of bytes back, because Pyjnius
 * copies bytes in one piece and converts the elements of any other array one by one. All numbers
 * are little-endian. A string is an int length and that many bytes of UTF-8; the length -1 means
 * that there is no string.
 *
 * <p>{@link io.spladelucene.wire.PackedReader} and {@link io.spladelucene.wire.PackedWriter} read
 * and write the elements. Each other class whose name starts with {@code Packed} documents one
 * format. {@code splade_lucene/jvm/wire.py} has the other side of each in Python.
 *
 * <p>This package uses no other package of the bridge.
 */
package io.spladelucene.wire;
