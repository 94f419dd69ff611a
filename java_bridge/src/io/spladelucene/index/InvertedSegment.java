package io.spladelucene.index;

import io.spladelucene.postings.InvertedBlock;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.StoredFieldVisitor;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.index.Terms;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.util.BytesRef;

/**
 * Presents inverted blocks as one Lucene segment, which {@code IndexWriter.addIndexes} writes with
 * the default codec.
 *
 * <p>The field infos, the values of further fields, and what this segment lacks (vectors, term
 * vectors) come from a template: a real segment with the same fields. The template is wrapped, so
 * that this class names no class that differs between Lucene 9.9 and 10.
 */
final class InvertedSegment extends FilterLeafReader {
  private final List<InvertedBlock> blocks;
  private final int[] bases; // the first document of each block, and the number of documents
  private final BytesRef[] docids;
  private final ImpactTerms impacts;
  private final DocidTerms ids;

  /**
   * Presents the documents of some blocks, in their order.
   *
   * @param template a segment with the same fields; if there are further ones, of as many documents
   * @param blocks whose docids are distinct
   * @param dictionary the term of each term id
   */
  InvertedSegment(LeafReader template, List<InvertedBlock> blocks, List<BytesRef> dictionary) {
    super(template);
    this.blocks = blocks;
    bases = new int[blocks.size() + 1];
    for (int block = 0; block < blocks.size(); block++) {
      bases[block + 1] = Math.addExact(bases[block], blocks.get(block).documents);
    }
    docids =
        blocks.stream()
            .flatMap(block -> Arrays.stream(block.docids))
            .map(BytesRef::new)
            .toArray(BytesRef[]::new);
    impacts = ImpactTerms.of(blocks, bases, dictionary);
    ids = DocidTerms.of(docids);
  }

  @Override
  public int maxDoc() {
    return docids.length;
  }

  @Override
  public int numDocs() {
    return docids.length;
  }

  @Override
  public Terms terms(String field) throws IOException {
    return switch (field) {
      case Fields.CONTENTS -> impacts;
      case Fields.ID -> ids;
      default -> super.terms(field);
    };
  }

  @Override
  public NumericDocValues getNormValues(String field) {
    return field.equals(Fields.CONTENTS) ? new Norms(maxDoc()) : null;
  }

  @Override
  public BinaryDocValues getBinaryDocValues(String field) {
    return field.equals(Fields.ID) ? new DocidValues(docids) : null;
  }

  @Override
  public StoredFields storedFields() {
    return new StoredFields() {
      @Override
      public void document(int doc, StoredFieldVisitor visitor) throws IOException {
        FieldInfo id = getFieldInfos().fieldInfo(Fields.ID);
        if (visitor.needsField(id) == StoredFieldVisitor.Status.YES) {
          visitor.stringField(id, docids[doc].utf8ToString());
        }
        int block = blockOf(doc);
        byte[] text = blocks.get(block).stored[doc - bases[block]];
        FieldInfo raw = getFieldInfos().fieldInfo(Fields.RAW);
        if (text != null && visitor.needsField(raw) == StoredFieldVisitor.Status.YES) {
          visitor.stringField(raw, new String(text, StandardCharsets.UTF_8));
        }
      }
    };
  }

  private int blockOf(int doc) {
    int at = Arrays.binarySearch(bases, doc);
    return at >= 0 ? at : -at - 2;
  }

  @Override
  public CacheHelper getCoreCacheHelper() {
    return null;
  }

  @Override
  public CacheHelper getReaderCacheHelper() {
    return null;
  }

  // Lucene's classes of doc values have no common implementation of the iteration: the two classes
  // below delegate it.

  /** The norms of impacts: 1 for every document. */
  private static final class Norms extends NumericDocValues {
    private final DocIdSetIterator documents;

    Norms(int maxDoc) {
      documents = DocIdSetIterator.all(maxDoc);
    }

    @Override
    public long longValue() {
      return 1;
    }

    @Override
    public boolean advanceExact(int target) throws IOException {
      return documents.advance(target) == target;
    }

    @Override
    public int docID() {
      return documents.docID();
    }

    @Override
    public int nextDoc() throws IOException {
      return documents.nextDoc();
    }

    @Override
    public int advance(int target) throws IOException {
      return documents.advance(target);
    }

    @Override
    public long cost() {
      return documents.cost();
    }
  }

  /** The docid of every document. */
  private static final class DocidValues extends BinaryDocValues {
    private final BytesRef[] docids;
    private final DocIdSetIterator documents;

    DocidValues(BytesRef[] docids) {
      this.docids = docids;
      documents = DocIdSetIterator.all(docids.length);
    }

    @Override
    public BytesRef binaryValue() {
      return docids[documents.docID()];
    }

    @Override
    public boolean advanceExact(int target) throws IOException {
      return documents.advance(target) == target;
    }

    @Override
    public int docID() {
      return documents.docID();
    }

    @Override
    public int nextDoc() throws IOException {
      return documents.nextDoc();
    }

    @Override
    public int advance(int target) throws IOException {
      return documents.advance(target);
    }

    @Override
    public long cost() {
      return documents.cost();
    }
  }
}
