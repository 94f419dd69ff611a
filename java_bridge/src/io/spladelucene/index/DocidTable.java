package io.spladelucene.index;

import io.spladelucene.wire.Docids;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Set;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.SortedDocValues;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.util.ArrayUtil;
import org.apache.lucene.util.BytesRef;

/**
 * The docids of all documents of an index, in memory: four bytes a document and the docid. Deleted
 * documents are included.
 */
public final class DocidTable implements Docids {
  private final int[] leafBases;
  private final Object[] segments; // per leaf: the key of its segment
  private final byte[][] bytes; // per leaf: all docids, end to end
  private final int[][] starts; // per leaf: the start of each, and the end of the last

  /**
   * Loads the docids.
   *
   * @param known those of another commit, which may have some of the segments; or {@code null}
   */
  DocidTable(IndexReader reader, DocidTable known) throws IOException {
    int leaves = reader.leaves().size();
    leafBases = new int[leaves];
    segments = new Object[leaves];
    bytes = new byte[leaves][];
    starts = new int[leaves][];
    for (LeafReaderContext leaf : reader.leaves()) {
      leafBases[leaf.ord] = leaf.docBase;
      segments[leaf.ord] = leaf.reader().getCoreCacheHelper().getKey();
      int at = known == null ? -1 : Arrays.asList(known.segments).indexOf(segments[leaf.ord]);
      if (at >= 0) {
        bytes[leaf.ord] = known.bytes[at];
        starts[leaf.ord] = known.starts[at];
      } else {
        load(leaf.reader(), leaf.ord);
      }
    }
  }

  /**
   * Anserini writes binary doc values, its older versions wrote sorted ones; every index has the
   * stored field.
   */
  private void load(LeafReader reader, int leaf) throws IOException {
    starts[leaf] = new int[reader.maxDoc() + 1];
    bytes[leaf] = new byte[reader.maxDoc() * 8 + 8];
    BinaryDocValues binary = reader.getBinaryDocValues(Fields.ID);
    SortedDocValues sorted = binary == null ? reader.getSortedDocValues(Fields.ID) : null;
    DocIdSetIterator values = binary != null ? binary : sorted;
    StoredFields stored = values == null ? reader.storedFields() : null;
    for (int doc = 0; doc < reader.maxDoc(); doc++) {
      BytesRef docid;
      if (values == null) {
        String field = stored.document(doc, Set.of(Fields.ID)).get(Fields.ID);
        docid = new BytesRef(field == null ? "" : field);
      } else if ((values.docID() < doc ? values.advance(doc) : values.docID()) != doc) {
        docid = new BytesRef();
      } else {
        docid = binary != null ? binary.binaryValue() : sorted.lookupOrd(sorted.ordValue());
      }
      append(leaf, doc, docid);
    }
    bytes[leaf] = Arrays.copyOf(bytes[leaf], starts[leaf][reader.maxDoc()]);
  }

  private void append(int leaf, int doc, BytesRef docid) {
    int start = starts[leaf][doc];
    bytes[leaf] = ArrayUtil.grow(bytes[leaf], Math.addExact(start, docid.length));
    System.arraycopy(docid.bytes, docid.offset, bytes[leaf], start, docid.length);
    starts[leaf][doc + 1] = start + docid.length;
  }

  private int leafOf(int doc) {
    int at = Arrays.binarySearch(leafBases, doc);
    return at >= 0 ? at : -at - 2;
  }

  @Override
  public int length(int doc) {
    int leaf = leafOf(doc);
    int local = doc - leafBases[leaf];
    return starts[leaf][local + 1] - starts[leaf][local];
  }

  @Override
  public int copy(int doc, byte[] target, int at) {
    int leaf = leafOf(doc);
    int local = doc - leafBases[leaf];
    int length = starts[leaf][local + 1] - starts[leaf][local];
    System.arraycopy(bytes[leaf], starts[leaf][local], target, at, length);
    return at + length;
  }

  /** The docid of a document. */
  String docid(int doc) {
    byte[] docid = new byte[length(doc)];
    copy(doc, docid, 0);
    return new String(docid, StandardCharsets.UTF_8);
  }

  /** Compares two documents by docid as unsigned bytes; equal docids by lucene_docid. */
  public int compare(int a, int b) {
    int leafA = leafOf(a);
    int leafB = leafOf(b);
    int localA = a - leafBases[leafA];
    int localB = b - leafBases[leafB];
    int order =
        Arrays.compareUnsigned(
            bytes[leafA],
            starts[leafA][localA],
            starts[leafA][localA + 1],
            bytes[leafB],
            starts[leafB][localB],
            starts[leafB][localB + 1]);
    return order != 0 ? order : Integer.compare(a, b);
  }
}
