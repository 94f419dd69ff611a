package io.spladelucene;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.lucene.index.BaseTermsEnum;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.FilterLeafReader;
import org.apache.lucene.index.ImpactsEnum;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.SlowImpactsEnum;
import org.apache.lucene.index.StoredFieldVisitor;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.util.BytesRef;

/**
 * Inverted blocks seen as one Lucene segment, for {@code IndexWriter.addIndexes} to write with the default codec.
 *
 * <p>The field infos and everything that this index has none of (points, vectors, term vectors) come from a template: a
 * real segment with the same fields, wrapped so that no Lucene class whose shape differs between 9.9 and 10 is named.
 */
final class InvertedSegment extends FilterLeafReader {
  private final List<InvertedBlock> blocks;
  private final int[] bases; // first document of each block, and one more: the number of documents
  private final BytesRef[] docids;
  private final ImpactTerms impacts;
  private final DocidTerms ids;

  InvertedSegment(LeafReader template, List<InvertedBlock> blocks, List<BytesRef> dictionary) {
    super(template);
    this.blocks = blocks;
    bases = new int[blocks.size() + 1];
    for (int block = 0; block < blocks.size(); block++) {
      bases[block + 1] = Math.addExact(bases[block], blocks.get(block).documents);
    }
    docids = new BytesRef[maxDoc()];
    for (int block = 0; block < blocks.size(); block++) {
      for (int document = 0; document < blocks.get(block).documents; document++) {
        docids[bases[block] + document] = new BytesRef(blocks.get(block).docids[document]);
      }
    }
    impacts = new ImpactTerms(dictionary);
    ids = new DocidTerms();
  }

  @Override
  public int maxDoc() {
    return bases[blocks.size()];
  }

  @Override
  public int numDocs() {
    return maxDoc();
  }

  @Override
  public Terms terms(String field) {
    return field.equals(Fields.CONTENTS) ? impacts : field.equals(Fields.ID) ? ids : null;
  }

  @Override
  public NumericDocValues getNormValues(String field) {
    return field.equals(Fields.CONTENTS) ? new OneForEach() : null;
  }

  @Override
  public BinaryDocValues getBinaryDocValues(String field) {
    return field.equals(Fields.ID) ? new Docids() : null;
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

  // ---- contents ----

  private final class ImpactTerms extends Terms {
    private final BytesRef[] terms; // in byte order
    private final int[] firsts; // per term, its first piece; one more at the end
    private final int[] pieceBlocks;
    private final int[] pieceTerms;
    private final long sumTotalTermFreq;
    private final long sumDocFreq;

    ImpactTerms(List<BytesRef> dictionary) {
      int[] counts = new int[dictionary.size()];
      long totalImpacts = 0;
      long totalDocFreqs = 0;
      for (InvertedBlock block : blocks) {
        for (int term = 0; term < block.termIds.length; term++) {
          counts[block.termIds[term]]++;
          totalImpacts += block.totalImpacts[term];
          totalDocFreqs += block.docFreqs[term];
        }
      }
      sumTotalTermFreq = totalImpacts;
      sumDocFreq = totalDocFreqs;
      Integer[] order =
          IntStream.range(0, counts.length).filter(id -> counts[id] > 0).boxed().toArray(Integer[]::new);
      Arrays.sort(order, Comparator.comparing(dictionary::get));
      terms = new BytesRef[order.length];
      firsts = new int[order.length + 1];
      int[] next = new int[counts.length];
      for (int rank = 0; rank < order.length; rank++) {
        terms[rank] = dictionary.get(order[rank]);
        next[order[rank]] = firsts[rank];
        firsts[rank + 1] = firsts[rank] + counts[order[rank]];
      }
      pieceBlocks = new int[firsts[order.length]];
      pieceTerms = new int[firsts[order.length]];
      for (int block = 0; block < blocks.size(); block++) {
        int[] termIds = blocks.get(block).termIds;
        for (int term = 0; term < termIds.length; term++) {
          int piece = next[termIds[term]]++;
          pieceBlocks[piece] = block;
          pieceTerms[piece] = term;
        }
      }
    }

    @Override
    public TermsEnum iterator() {
      return new InMemoryTermsEnum(terms) {
        @Override
        public int docFreq() {
          int sum = 0;
          for (int piece = firsts[rank]; piece < firsts[rank + 1]; piece++) {
            sum += blocks.get(pieceBlocks[piece]).docFreqs[pieceTerms[piece]];
          }
          return sum;
        }

        @Override
        public long totalTermFreq() {
          long sum = 0;
          for (int piece = firsts[rank]; piece < firsts[rank + 1]; piece++) {
            sum += blocks.get(pieceBlocks[piece]).totalImpacts[pieceTerms[piece]];
          }
          return sum;
        }

        @Override
        public PostingsEnum postings(PostingsEnum reuse, int flags) {
          return new ImpactPostings(firsts[rank], firsts[rank + 1], docFreq());
        }
      };
    }

    private final class ImpactPostings extends SequentialPostings {
      private final int lastPiece;
      private final int docFreq;
      private int piece;
      private InvertedBlock.Cursor cursor;
      private int base;

      ImpactPostings(int firstPiece, int lastPiece, int docFreq) {
        this.piece = firstPiece - 1;
        this.lastPiece = lastPiece;
        this.docFreq = docFreq;
      }

      @Override
      public int freq() {
        return cursor.impact;
      }

      @Override
      public int nextDoc() {
        while (cursor == null || !cursor.next()) {
          if (++piece == lastPiece) {
            return doc = NO_MORE_DOCS;
          }
          cursor = blocks.get(pieceBlocks[piece]).new Cursor(pieceTerms[piece]);
          base = bases[pieceBlocks[piece]];
        }
        return doc = base + cursor.document;
      }

      @Override
      public long cost() {
        return docFreq;
      }
    }

    @Override
    public long size() {
      return terms.length;
    }

    @Override
    public long getSumTotalTermFreq() {
      return sumTotalTermFreq;
    }

    @Override
    public long getSumDocFreq() {
      return sumDocFreq;
    }

    @Override
    public int getDocCount() {
      return maxDoc(); // a document without terms never gets here
    }

    @Override
    public boolean hasFreqs() {
      return true;
    }

    @Override
    public boolean hasOffsets() {
      return false;
    }

    @Override
    public boolean hasPositions() {
      return false;
    }

    @Override
    public boolean hasPayloads() {
      return false;
    }
  }

  // ---- id ----

  private final class DocidTerms extends Terms {
    private final int[] order; // lucene_docids in byte order of their docids
    private final BytesRef[] terms;

    DocidTerms() {
      Integer[] sorted = IntStream.range(0, maxDoc()).boxed().toArray(Integer[]::new);
      Arrays.parallelSort(sorted, Comparator.comparing(doc -> docids[doc]));
      order = new int[sorted.length];
      terms = new BytesRef[sorted.length];
      for (int rank = 0; rank < sorted.length; rank++) {
        order[rank] = sorted[rank];
        terms[rank] = docids[order[rank]];
      }
    }

    @Override
    public TermsEnum iterator() {
      return new InMemoryTermsEnum(terms) {
        @Override
        public int docFreq() {
          return 1;
        }

        @Override
        public long totalTermFreq() {
          return 1;
        }

        @Override
        public PostingsEnum postings(PostingsEnum reuse, int flags) {
          int only = order[rank];
          return new SequentialPostings() {
            @Override
            public int freq() {
              return 1;
            }

            @Override
            public int nextDoc() {
              return doc = doc < 0 ? only : NO_MORE_DOCS;
            }

            @Override
            public long cost() {
              return 1;
            }
          };
        }
      };
    }

    @Override
    public long size() {
      return terms.length;
    }

    @Override
    public long getSumTotalTermFreq() {
      return terms.length;
    }

    @Override
    public long getSumDocFreq() {
      return terms.length;
    }

    @Override
    public int getDocCount() {
      return terms.length;
    }

    @Override
    public boolean hasFreqs() {
      return false;
    }

    @Override
    public boolean hasOffsets() {
      return false;
    }

    @Override
    public boolean hasPositions() {
      return false;
    }

    @Override
    public boolean hasPayloads() {
      return false;
    }
  }

  // ---- enumerations ----

  /** Sorted terms in an array. */
  private abstract static class InMemoryTermsEnum extends BaseTermsEnum {
    private final BytesRef[] terms;
    protected int rank = -1;

    InMemoryTermsEnum(BytesRef[] terms) {
      this.terms = terms;
    }

    @Override
    public BytesRef next() {
      return ++rank < terms.length ? terms[rank] : null;
    }

    @Override
    public SeekStatus seekCeil(BytesRef text) {
      int at = Arrays.binarySearch(terms, text);
      rank = at >= 0 ? at : -at - 1;
      return at >= 0 ? SeekStatus.FOUND : rank == terms.length ? SeekStatus.END : SeekStatus.NOT_FOUND;
    }

    @Override
    public void seekExact(long ord) {
      rank = (int) ord;
    }

    @Override
    public BytesRef term() {
      return terms[rank];
    }

    @Override
    public long ord() {
      return rank;
    }

    @Override
    public ImpactsEnum impacts(int flags) throws IOException {
      return new SlowImpactsEnum(postings(null, flags));
    }
  }

  /** Postings without positions, read from front to back. */
  private abstract static class SequentialPostings extends PostingsEnum {
    protected int doc = -1;

    @Override
    public int docID() {
      return doc;
    }

    @Override
    public int advance(int target) throws IOException {
      return slowAdvance(target);
    }

    @Override
    public int nextPosition() {
      return -1;
    }

    @Override
    public int startOffset() {
      return -1;
    }

    @Override
    public int endOffset() {
      return -1;
    }

    @Override
    public BytesRef getPayload() {
      return null;
    }
  }

  private final class OneForEach extends NumericDocValues {
    private int doc = -1;

    @Override
    public long longValue() {
      return 1;
    }

    @Override
    public boolean advanceExact(int target) {
      doc = target;
      return true;
    }

    @Override
    public int docID() {
      return doc;
    }

    @Override
    public int nextDoc() {
      return advance(doc + 1);
    }

    @Override
    public int advance(int target) {
      return doc = target < maxDoc() ? target : NO_MORE_DOCS;
    }

    @Override
    public long cost() {
      return maxDoc();
    }
  }

  private final class Docids extends BinaryDocValues {
    private int doc = -1;

    @Override
    public BytesRef binaryValue() {
      return docids[doc];
    }

    @Override
    public boolean advanceExact(int target) {
      doc = target;
      return true;
    }

    @Override
    public int docID() {
      return doc;
    }

    @Override
    public int nextDoc() {
      return advance(doc + 1);
    }

    @Override
    public int advance(int target) {
      return doc = target < maxDoc() ? target : NO_MORE_DOCS;
    }

    @Override
    public long cost() {
      return maxDoc();
    }
  }
}
