package io.spladelucene.index;

import io.spladelucene.postings.InvertedBlock;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
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
import org.apache.lucene.util.SmallFloat;

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
  private final ImpactTerms texts; // null: the texts are not inverted, or have no terms
  private final int[] lengths; // of the documents' texts; null: they are not inverted
  private final DocidTerms ids;

  /**
   * Presents the documents of some blocks, in their order.
   *
   * @param template a segment with the same fields; if there are further ones, of as many documents
   * @param blocks whose docids are distinct
   * @param dictionary the term of each term id
   * @param textDictionary likewise, of the terms of texts
   */
  InvertedSegment(
      LeafReader template,
      List<InvertedBlock> blocks,
      List<BytesRef> dictionary,
      List<BytesRef> textDictionary) {
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
    // The parser refuses a document without terms.
    impacts = ImpactTerms.of(blocks, bases, dictionary, docids.length);
    ids = DocidTerms.of(docids);
    List<InvertedBlock> ofTexts =
        blocks.stream().map(block -> block.texts).filter(Objects::nonNull).toList();
    lengths = ofTexts.isEmpty() ? null : lengths(ofTexts);
    int withText = docids.length - withoutText();
    texts =
        lengths == null || withText == 0
            ? null
            : ImpactTerms.of(ofTexts, bases, textDictionary, withText);
  }

  private int[] lengths(List<InvertedBlock> ofTexts) {
    int[] sums = new int[docids.length];
    for (int block = 0; block < ofTexts.size(); block++) {
      InvertedBlock each = ofTexts.get(block);
      for (int term = 0; term < each.termIds.length; term++) {
        for (InvertedBlock.Cursor cursor = each.new Cursor(term); cursor.next(); ) {
          sums[bases[block] + cursor.document] += cursor.impact;
        }
      }
    }
    return sums;
  }

  /** The number of documents whose text has no terms; 0 if texts are not inverted. */
  int withoutText() {
    return lengths == null ? 0 : (int) Arrays.stream(lengths).filter(length -> length == 0).count();
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
      case Fields.BM25 -> texts;
      default -> super.terms(field);
    };
  }

  @Override
  public NumericDocValues getNormValues(String field) {
    return switch (field) {
      case Fields.CONTENTS -> new Norms(maxDoc(), null);
      case Fields.BM25 -> lengths == null ? null : new Norms(maxDoc(), lengths);
      default -> null;
    };
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

  /** The norms of impacts: 1 for every document; or those of texts: their lengths, as BM25's. */
  private static final class Norms extends NumericDocValues {
    private final DocIdSetIterator documents;
    private final int[] lengths; // null: of impacts

    Norms(int maxDoc, int[] lengths) {
      documents = DocIdSetIterator.all(maxDoc);
      this.lengths = lengths;
    }

    @Override
    public long longValue() {
      return lengths == null ? 1 : SmallFloat.intToByte4(lengths[documents.docID()]);
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
