package io.spladelucene;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.StringJoiner;
import org.apache.lucene.index.CheckIndex;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.FieldInfos;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/** An open impact index: what is in it. One point in time; later commits need a new reader. */
public final class ImpactIndexReader implements Closeable {
  private static final ObjectMapper JSON = new ObjectMapper();

  final DirectoryReader reader;
  private DocidTable docids;

  /** Opens an index. Fails if there is none, if a newer Lucene wrote it, or if it has no field of impacts. */
  public ImpactIndexReader(String index) throws IOException {
    reader = DirectoryReader.open(FSDirectory.open(Path.of(index)));
    try {
      FieldInfo contents = FieldInfos.getMergedFieldInfos(reader).fieldInfo(Fields.CONTENTS);
      if (reader.maxDoc() > 0 && (contents == null || contents.getIndexOptions().compareTo(IndexOptions.DOCS_AND_FREQS) < 0)) {
        throw new IllegalArgumentException("no field \"contents\" with frequencies");
      }
      checkNorms();
    } catch (RuntimeException e) {
      reader.close();
      throw e;
    }
  }

  /** ImpactSimilarity writes 1 for every document; a text index has lengths, which differ. A thousand tell them apart. */
  private void checkNorms() throws IOException {
    for (LeafReaderContext leaf : reader.leaves()) {
      NumericDocValues norms = leaf.reader().getNormValues(Fields.CONTENTS);
      for (int seen = 0; norms != null && seen < 1000 && norms.nextDoc() != NumericDocValues.NO_MORE_DOCS; seen++) {
        if (norms.longValue() > 1) {
          throw new IllegalArgumentException("its norms are lengths of texts, not frequencies of impacts");
        }
      }
    }
  }

  /** Loaded at first use: opening an index only to look at its statistics costs nothing. */
  synchronized DocidTable docids() throws IOException {
    if (docids == null) {
      docids = new DocidTable(reader);
    }
    return docids;
  }

  public int numDocs() {
    return reader.numDocs();
  }

  public int maxDoc() {
    return reader.maxDoc();
  }

  /** Counts of the index as JSON. {@code postings} and {@code impacts} include deleted documents until a merge. */
  public String statistics() throws IOException {
    return statistics(reader);
  }

  static String statistics(DirectoryReader reader) throws IOException {
    ObjectNode result = JSON.createObjectNode();
    Terms terms = MultiTerms.getTerms(reader, Fields.CONTENTS);
    long distinct = 0;
    if (terms != null) {
      for (TermsEnum each = terms.iterator(); each.next() != null; ) {
        distinct++;
      }
    }
    result.put("documents", reader.numDocs());
    result.put("deleted_documents", reader.numDeletedDocs());
    result.put("segments", reader.leaves().size());
    result.put("terms", distinct);
    result.put("postings", terms == null ? 0 : terms.getSumDocFreq());
    result.put("total_impact", terms == null ? 0 : terms.getSumTotalTermFreq());
    result.put("lucene", SegmentInfos.readLatestCommit(reader.directory()).getCommitLuceneVersion().toString());
    return JSON.writeValueAsString(result);
  }

  /** What identifies the commit that is open: its segments file and its unique id, as {@code segments_1:0a1b…}. */
  public String commit() throws IOException {
    SegmentInfos infos = SegmentInfos.readCommit(reader.directory(), reader.getIndexCommit().getSegmentsFileName());
    StringBuilder id = new StringBuilder(reader.getIndexCommit().getSegmentsFileName()).append(':');
    for (byte b : infos.getId()) {
      id.append(String.format("%02x", b));
    }
    return id.toString();
  }

  /** All terms in byte order: long count; per term: term, int documents, long sum of impacts. */
  public byte[] terms() throws IOException {
    return terms(reader);
  }

  static byte[] terms(DirectoryReader reader) throws IOException {
    Packed.Writer body = new Packed.Writer();
    long count = 0;
    Terms terms = MultiTerms.getTerms(reader, Fields.CONTENTS);
    if (terms != null) {
      TermsEnum each = terms.iterator();
      for (BytesRef term = each.next(); term != null; term = each.next(), count++) {
        body.writeBytes(term.bytes, term.offset, term.length);
        body.writeInt(each.docFreq());
        body.writeLong(each.totalTermFreq());
      }
    }
    Packed.Writer out = new Packed.Writer();
    out.writeLong(count);
    out.writeRaw(body.toByteArray());
    return out.toByteArray();
  }

  /** The postings of one term, live documents only: int count; int[count] lucene_docids; int[count] impacts. */
  public byte[] postings(String term) throws IOException {
    Packed.Writer documents = new Packed.Writer();
    Packed.Writer impacts = new Packed.Writer();
    int count = 0;
    for (LeafReaderContext leaf : reader.leaves()) {
      PostingsEnum postings = leaf.reader().postings(new Term(Fields.CONTENTS, term), PostingsEnum.FREQS);
      Bits live = leaf.reader().getLiveDocs();
      if (postings == null) {
        continue;
      }
      for (int doc = postings.nextDoc(); doc != PostingsEnum.NO_MORE_DOCS; doc = postings.nextDoc()) {
        if (live == null || live.get(doc)) {
          documents.writeInt(leaf.docBase + doc);
          impacts.writeInt(postings.freq());
          count++;
        }
      }
    }
    Packed.Writer out = new Packed.Writer();
    out.writeInt(count);
    out.writeRaw(documents.toByteArray());
    out.writeRaw(impacts.toByteArray());
    return out.toByteArray();
  }

  /** The lucene_docid of a live document; -1 if there is none. */
  public int luceneDocid(String docid) throws IOException {
    for (LeafReaderContext leaf : reader.leaves()) {
      PostingsEnum postings = leaf.reader().postings(new Term(Fields.ID, docid), PostingsEnum.NONE);
      Bits live = leaf.reader().getLiveDocs();
      if (postings != null) {
        for (int doc = postings.nextDoc(); doc != PostingsEnum.NO_MORE_DOCS; doc = postings.nextDoc()) {
          if (live == null || live.get(doc)) {
            return leaf.docBase + doc;
          }
        }
      }
    }
    return -1;
  }

  /**
   * The impacts of terms in a document, 0 where it has none.
   *
   * @param batch int count; per term: term
   * @return int[count]
   */
  public byte[] impacts(int luceneDocid, byte[] batch) throws IOException {
    Packed in = new Packed(batch);
    Packed.Writer out = new Packed.Writer();
    LeafReaderContext leaf = leafOf(luceneDocid);
    for (int left = in.readInt(); left > 0; left--) {
      BytesRef term = in.readBytes();
      PostingsEnum postings = leaf.reader().postings(new Term(Fields.CONTENTS, term), PostingsEnum.FREQS);
      int target = luceneDocid - leaf.docBase;
      out.writeInt(postings != null && postings.advance(target) == target ? postings.freq() : 0);
    }
    return out.toByteArray();
  }

  LeafReaderContext leafOf(int luceneDocid) {
    for (LeafReaderContext leaf : reader.leaves()) {
      if (luceneDocid >= leaf.docBase && luceneDocid < leaf.docBase + leaf.reader().maxDoc()) {
        return leaf;
      }
    }
    throw new IndexOutOfBoundsException("no document " + luceneDocid + " among " + reader.maxDoc());
  }

  /** The docid of a document. */
  public String docid(int luceneDocid) throws IOException {
    byte[] docid = new byte[docids().length(luceneDocid)];
    docids().copy(luceneDocid, docid, 0);
    return new String(docid, StandardCharsets.UTF_8);
  }

  /** The docids of all documents by lucene_docid, deleted ones included, each followed by a NUL. */
  public byte[] allDocids() throws IOException {
    DocidTable table = docids();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int doc = 0; doc < reader.maxDoc(); doc++) {
      byte[] docid = new byte[table.length(doc)];
      table.copy(doc, docid, 0);
      out.writeBytes(docid);
      out.write(0);
    }
    return out.toByteArray();
  }

  /** The stored field {@code raw} of documents. The batch: int count; int[count]. Per document: raw (-1: none). */
  public byte[] raw(byte[] batch) throws IOException {
    Packed in = new Packed(batch);
    Packed.Writer out = new Packed.Writer();
    for (int left = in.readInt(); left > 0; left--) {
      String raw = reader.storedFields().document(in.readInt(), Set.of(Fields.RAW)).get(Fields.RAW);
      if (raw == null) {
        out.writeInt(-1);
      } else {
        out.writeString(raw);
      }
    }
    return out.toByteArray();
  }

  /**
   * Makes the accelerators of the segments.
   *
   * @param anew those that are there already, too
   * @param clear remove those of other segments from the folder
   * @param bytes what all of them may take: the longest lists are kept
   */
  public void accelerate(String folder, boolean anew, boolean clear, long bytes) throws IOException {
    Path target = Path.of(folder);
    int shortest = Accelerator.shortestWithin(reader, bytes);
    for (LeafReaderContext leaf : reader.leaves()) {
      if (anew || !Accelerator.isUsable(target, leaf.reader())) {
        Accelerator.write(target, leaf.reader(), shortest);
      }
    }
    if (clear) {
      Set<String> names = Set.of(acceleratorNames().split(" "));
      try (DirectoryStream<Path> files = Files.newDirectoryStream(target, "*" + Accelerator.SUFFIX)) {
        for (Path file : files) {
          if (!names.contains(file.getFileName().toString())) {
            Files.delete(file);
          }
        }
      }
    }
  }

  /** The names of the segments' accelerators, spaces between them. */
  public String acceleratorNames() {
    StringJoiner names = new StringJoiner(" ");
    for (LeafReaderContext leaf : reader.leaves()) {
      names.add(Accelerator.nameFor(leaf.reader()));
    }
    return names.toString();
  }

  /** Runs Lucene's CheckIndex over a closed or open index; the report ends in whether it is clean. */
  public static String check(String index) throws IOException {
    ByteArrayOutputStream report = new ByteArrayOutputStream();
    try (Directory directory = FSDirectory.open(Path.of(index));
        CheckIndex checker = new CheckIndex(directory)) {
      checkContents(checker);
      checker.setInfoStream(new PrintStream(report, true, StandardCharsets.UTF_8));
      boolean clean = checker.checkIndex().clean;
      return report.toString(StandardCharsets.UTF_8) + (clean ? "clean" : "damaged");
    }
  }

  @Override
  public void close() throws IOException {
    reader.close();
  }

  /** Lucene 10 compares checksums only, unless it is told; Lucene 9 has no such levels and reads everything. */
  private static void checkContents(CheckIndex checker) {
    int integrity = 2; // CheckIndex.Level.MIN_LEVEL_FOR_INTEGRITY_CHECKS
    try {
      CheckIndex.class.getMethod("setLevel", int.class).invoke(checker, integrity);
    } catch (NoSuchMethodException lucene9) {
      // nothing to set
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error);
    }
  }
}
