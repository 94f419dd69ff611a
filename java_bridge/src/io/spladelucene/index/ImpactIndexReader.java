package io.spladelucene.index;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.spladelucene.postings.LiveDocuments;
import io.spladelucene.wire.PackedDocids;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedPostings;
import io.spladelucene.wire.PackedTerms;
import io.spladelucene.wire.PackedWriter;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.StringJoiner;
import org.apache.lucene.index.CheckIndex;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.FieldInfos;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexReader;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.MultiTerms;
import org.apache.lucene.index.NumericDocValues;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.index.StandardDirectoryReader;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.AlreadyClosedException;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FilterDirectory;
import org.apache.lucene.store.Lock;
import org.apache.lucene.store.NoLockFactory;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.InPlaceMergeSorter;

/**
 * An open impact index, or several as one. It shows the last commit at the time when it was opened,
 * and no later one. For any number of threads.
 */
public final class ImpactIndexReader implements Closeable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final IndexReader reader;
  private final DirectoryReader single; // null: several indexes
  private final DocidTable known; // of an earlier commit; null: there is none
  private DocidTable docids;
  private volatile boolean isClosed = false;

  /** What works on the files of an index. */
  public interface Call<T, E extends Exception> {
    /** Runs it. */
    T run() throws E;
  }

  /**
   * Opens an index.
   *
   * @throws org.apache.lucene.index.IndexNotFoundException if there is none
   * @throws IllegalArgumentException if it is not an impact index, or a newer Lucene wrote it
   */
  public ImpactIndexReader(Directory index) throws IOException {
    this(DirectoryReader.open(index), null);
  }

  private ImpactIndexReader(DirectoryReader reader, DocidTable known) throws IOException {
    this.reader = reader;
    single = reader;
    this.known = known;
    try {
      FieldInfo contents = FieldInfos.getMergedFieldInfos(reader).fieldInfo(Fields.CONTENTS);
      if (reader.maxDoc() > 0
          && (contents == null
              || contents.getIndexOptions().compareTo(IndexOptions.DOCS_AND_FREQS) < 0)) {
        throw new IllegalArgumentException("no field \"contents\" with frequencies");
      }
      checkNorms();
    } catch (RuntimeException | IOException e) {
      reader.close();
      throw e;
    }
  }

  private ImpactIndexReader(JoinedReader reader, DocidTable known) {
    this.reader = reader;
    single = null;
    this.known = known;
  }

  /**
   * Opens several indexes as one, which stays open when they are closed.
   *
   * @param indexes open indexes, in the order of their documents
   * @param segments of all these indexes, in the same order
   * @param known the same indexes at an earlier time; {@code null}: unknown
   */
  public static ImpactIndexReader join(
      List<ImpactIndexReader> indexes, LeafReader[] segments, ImpactIndexReader known)
      throws IOException {
    List<IndexReader> readers = new ArrayList<>();
    indexes.forEach(each -> readers.add(each.reader));
    JoinedReader joined = new JoinedReader(readers, segments);
    return new ImpactIndexReader(joined, known == null ? null : known.docids());
  }

  /**
   * Refuses an index of texts, whose norms are lengths; those of impacts are all 1. The first
   * thousand documents of a segment suffice to tell them apart.
   */
  private void checkNorms() throws IOException {
    for (LeafReaderContext leaf : reader.leaves()) {
      NumericDocValues norms = leaf.reader().getNormValues(Fields.CONTENTS);
      for (int seen = 0;
          norms != null && seen < 1000 && norms.nextDoc() != NumericDocValues.NO_MORE_DOCS;
          seen++) {
        if (norms.longValue() > 1) {
          throw new IllegalArgumentException(
              "its norms are lengths of texts, not frequencies of impacts");
        }
      }
    }
  }

  /**
   * Opens the last commit of the index, which must be one; segments that both commits have are
   * shared.
   *
   * @return {@code null} if this is the last commit
   */
  public ImpactIndexReader refreshed() throws IOException {
    Directory index = single.directory();
    if (Arrays.equals(SegmentInfos.readLatestCommit(index).getId(), infos().getId())) {
      return null;
    }
    DirectoryReader newer;
    try {
      newer = DirectoryReader.openIfChanged(single);
    } catch (IllegalStateException e) { // another index has segments of the same names
      newer = null;
    }
    if (newer == null) { // another index may have the same version
      newer = DirectoryReader.open(index);
    }
    return new ImpactIndexReader(newer, docids());
  }

  private SegmentInfos infos() {
    return infos(single);
  }

  private static SegmentInfos infos(DirectoryReader reader) {
    return ((StandardDirectoryReader) reader).getSegmentInfos();
  }

  /**
   * Keeps the files open until the end of a call, even if another thread closes the index.
   *
   * @throws AlreadyClosedException if it is closed
   */
  public <T, E extends Exception> T use(Call<T, E> call) throws IOException, E {
    if (isClosed) {
      throw new AlreadyClosedException("this index is closed");
    }
    reader.incRef();
    try {
      return call.run();
    } finally {
      reader.decRef();
    }
  }

  /** The docids of all documents, which are loaded at the first call. */
  public synchronized DocidTable docids() throws IOException {
    if (docids == null) {
      docids = new DocidTable(reader, known);
    }
    return docids;
  }

  /** The version of Lucene that created the index, which must be one; Lucene merges no others. */
  public int createdMajor() {
    return infos().getIndexCreatedVersionMajor();
  }

  /** The number of documents that are not deleted. */
  public int numDocs() {
    return reader.numDocs();
  }

  /** The number of documents, deleted ones included. */
  public int maxDoc() {
    return reader.maxDoc();
  }

  /** Lucene's reader, for what this class does not offer. */
  public IndexReader lucene() {
    return reader;
  }

  /** The segments. */
  public List<LeafReaderContext> leaves() {
    return reader.leaves();
  }

  /** The number of documents with a term, deleted ones included. */
  public int docFreq(BytesRef term) throws IOException {
    return reader.docFreq(new Term(Fields.CONTENTS, term));
  }

  /**
   * The number of documents by which a term is common or rare: that of Lucene's statistics. For
   * several indexes it is that of the index into which they would be merged, which has no deleted
   * documents.
   */
  public int commonness(BytesRef term) throws IOException {
    return single != null || !reader.hasDeletions()
        ? docFreq(term)
        : liveDocFreq(new Term(Fields.CONTENTS, term));
  }

  private int liveDocFreq(Term term) throws IOException {
    int count = 0;
    for (LeafReaderContext leaf : reader.leaves()) {
      Bits live = leaf.reader().getLiveDocs();
      if (live == null) {
        count += leaf.reader().docFreq(term);
        continue;
      }
      PostingsEnum postings = leaf.reader().postings(term, PostingsEnum.NONE);
      while (postings != null && LiveDocuments.next(postings, live) != PostingsEnum.NO_MORE_DOCS) {
        count++;
      }
    }
    return count;
  }

  /**
   * Statistics as JSON: documents, deleted_documents, segments, terms, postings, total_impact and,
   * for a single index, the version of Lucene. Terms, postings and impacts of deleted documents
   * count until a merge.
   */
  public String statistics() throws IOException {
    return single != null ? statistics(single) : JSON.writeValueAsString(counts(reader));
  }

  /** The {@link #statistics()} of any index with the field {@code contents}. */
  public static String statistics(DirectoryReader reader) throws IOException {
    return JSON.writeValueAsString(counts(reader).put("lucene", luceneVersion(reader)));
  }

  /** The version of Lucene that wrote the commit of the index, which must be one. */
  public String luceneVersion() {
    return luceneVersion(single);
  }

  private static String luceneVersion(DirectoryReader reader) {
    return infos(reader).getCommitLuceneVersion().toString();
  }

  private static ObjectNode counts(IndexReader reader) throws IOException {
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
    return result;
  }

  /**
   * The open commit of a single index: the strings name, id, and manifest, with the length -1 if it
   * has none.
   */
  public byte[] commit() {
    return Commits.pack(infos());
  }

  /** All terms in byte order, as {@link PackedTerms}. */
  public byte[] terms() throws IOException {
    return terms(reader);
  }

  /** The {@link #terms()} of any index with the field {@code contents}. */
  public static byte[] terms(IndexReader reader) throws IOException {
    PackedTerms packed = new PackedTerms();
    Terms terms = MultiTerms.getTerms(reader, Fields.CONTENTS);
    if (terms != null) {
      TermsEnum each = terms.iterator();
      for (BytesRef term = each.next(); term != null; term = each.next()) {
        packed.add(term, each.docFreq(), each.totalTermFreq());
      }
    }
    return packed.toByteArray();
  }

  /** The postings of a term without those of deleted documents, as {@link PackedPostings}. */
  public byte[] postings(String term) throws IOException {
    PackedPostings packed = new PackedPostings();
    for (LeafReaderContext leaf : reader.leaves()) {
      PostingsEnum postings =
          leaf.reader().postings(new Term(Fields.CONTENTS, term), PostingsEnum.FREQS);
      Bits live = leaf.reader().getLiveDocs();
      if (postings == null) {
        continue;
      }
      for (int doc = LiveDocuments.next(postings, live);
          doc != PostingsEnum.NO_MORE_DOCS;
          doc = LiveDocuments.next(postings, live)) {
        packed.add(leaf.docBase + doc, postings.freq());
      }
    }
    return packed.toByteArray();
  }

  /** The lucene_docid of the document with a docid; -1 if there is none, or it is deleted. */
  public int luceneDocid(String docid) throws IOException {
    return luceneDocids(List.of(new BytesRef(docid)))[0];
  }

  /**
   * The lucene_docids of the documents with some docids, in their order; -1 as for a single one.
   */
  public int[] luceneDocids(Iterable<BytesRef> docids) throws IOException {
    List<TermsEnum> lookups = new ArrayList<>();
    for (LeafReaderContext leaf : reader.leaves()) {
      Terms terms = leaf.reader().terms(Fields.ID);
      lookups.add(terms == null ? TermsEnum.EMPTY : terms.iterator());
    }
    List<Integer> found = new ArrayList<>();
    PostingsEnum postings = null;
    for (BytesRef docid : docids) {
      int document = -1;
      for (int i = 0; i < lookups.size() && document < 0; i++) {
        if (lookups.get(i).seekExact(docid)) {
          LeafReaderContext leaf = reader.leaves().get(i);
          postings = lookups.get(i).postings(postings, PostingsEnum.NONE);
          document = firstLive(leaf, postings);
        }
      }
      found.add(document);
    }
    return found.stream().mapToInt(Integer::intValue).toArray();
  }

  /**
   * Those of some docids that a document has, without deleted ones.
   *
   * @param docids as {@link PackedLists#readStrings} reads them
   * @return int count and the docids
   */
  public byte[] held(byte[] docids) throws IOException {
    int[] documents = luceneDocids(PackedLists.readBytes(docids));
    List<String> found = new ArrayList<>();
    int position = 0;
    for (String docid : PackedLists.readStrings(docids)) {
      if (documents[position++] >= 0) {
        found.add(docid);
      }
    }
    PackedWriter out = new PackedWriter();
    out.writeInt(found.size());
    found.forEach(out::writeString);
    return out.toByteArray();
  }

  private static int firstLive(LeafReaderContext leaf, PostingsEnum postings) throws IOException {
    int doc = LiveDocuments.next(postings, leaf.reader().getLiveDocs());
    return doc == PostingsEnum.NO_MORE_DOCS ? -1 : leaf.docBase + doc;
  }

  /**
   * The impacts of terms in a document; 0 for a term that the document lacks.
   *
   * @param terms as {@link PackedLists#readBytes} reads them
   * @return an int for each term
   */
  public byte[] impacts(int luceneDocid, byte[] terms) throws IOException {
    PackedWriter out = new PackedWriter();
    LeafReaderContext leaf = leafOf(luceneDocid);
    int target = luceneDocid - leaf.docBase;
    for (BytesRef term : PackedLists.readBytes(terms)) {
      PostingsEnum postings =
          leaf.reader().postings(new Term(Fields.CONTENTS, term), PostingsEnum.FREQS);
      out.writeInt(postings != null && postings.advance(target) == target ? postings.freq() : 0);
    }
    return out.toByteArray();
  }

  private LeafReaderContext leafOf(int luceneDocid) {
    for (LeafReaderContext leaf : reader.leaves()) {
      if (luceneDocid >= leaf.docBase && luceneDocid < leaf.docBase + leaf.reader().maxDoc()) {
        return leaf;
      }
    }
    throw new IndexOutOfBoundsException("no document " + luceneDocid + " among " + reader.maxDoc());
  }

  /** The docid of a document. */
  public String docid(int luceneDocid) throws IOException {
    return docids().docid(luceneDocid);
  }

  /**
   * The docids of all documents by lucene_docid, deleted ones included, as {@link PackedDocids}.
   */
  public byte[] allDocids() throws IOException {
    return PackedDocids.pack(docids(), reader.maxDoc());
  }

  /**
   * The stored field {@code raw} of documents.
   *
   * @param luceneDocids as {@link PackedLists#readInts} reads them
   * @return for each document a string; the length -1 if it has no such field
   */
  public byte[] raw(byte[] luceneDocids) throws IOException {
    return raw(reader, luceneDocids);
  }

  /** {@link #raw(byte[])} of any index. */
  public static byte[] raw(IndexReader reader, byte[] luceneDocids) throws IOException {
    PackedWriter out = new PackedWriter();
    StoredFields stored = reader.storedFields();
    for (int doc : PackedLists.readInts(luceneDocids)) {
      out.writeString(stored.document(doc, Set.of(Fields.RAW)).get(Fields.RAW));
    }
    return out.toByteArray();
  }

  /**
   * Writes the {@link Accelerator} of each segment to a folder.
   *
   * @param anew whether to replace files that are there
   * @param clear whether to remove the files of other segments from the folder
   * @param bytes the size of all files together; the lists of the most frequent terms are kept
   */
  public void accelerate(Path folder, boolean anew, boolean clear, long bytes) throws IOException {
    int shortest = Accelerator.shortestWithin(reader, bytes);
    for (LeafReaderContext leaf : reader.leaves()) {
      if (anew || !Accelerator.isUsable(folder, leaf.reader())) {
        Accelerator.write(folder, leaf.reader(), shortest);
      }
    }
    if (clear) {
      Set<String> names = Set.of(acceleratorNames().split(" "));
      try (DirectoryStream<Path> files = // those that a killed process has left behind, too
          Files.newDirectoryStream(folder, "*" + Accelerator.SUFFIX + "{,.partial}")) {
        for (Path file : files) {
          if (!names.contains(file.getFileName().toString())) {
            Files.delete(file);
          }
        }
      }
    }
  }

  /** The names of the accelerators of all segments, separated by spaces. */
  public String acceleratorNames() {
    StringJoiner names = new StringJoiner(" ");
    for (LeafReaderContext leaf : reader.leaves()) {
      names.add(Accelerator.nameFor(leaf.reader()));
    }
    return names.toString();
  }

  /**
   * Reads the accelerators of all segments to the end.
   *
   * @param folders where they may be; the first that has one counts
   * @return int count, and two strings for each that is damaged: its path, and what is wrong
   */
  public byte[] verifyAccelerators(List<Path> folders) throws IOException {
    List<String> found = new ArrayList<>();
    for (LeafReaderContext leaf : reader.leaves()) {
      String name = Accelerator.nameFor(leaf.reader());
      for (Path folder : folders) {
        if (Files.exists(folder.resolve(name))) {
          String problem = Accelerator.verify(folder, leaf.reader());
          if (problem != null) {
            found.addAll(List.of(folder.resolve(name).toString(), problem));
          }
          break;
        }
      }
    }
    PackedWriter out = new PackedWriter();
    out.writeInt(found.size() / 2);
    found.forEach(out::writeString);
    return out.toByteArray();
  }

  /**
   * Docids that more than one document has, without deleted ones.
   *
   * @param most at most so many
   * @return int count and the docids
   */
  public byte[] duplicateDocids(int most) throws IOException {
    List<String> found = new ArrayList<>();
    DocidTable table = docids();
    int[] documents = new int[reader.numDocs()];
    int count = 0;
    for (LeafReaderContext leaf : reader.leaves()) {
      Bits live = leaf.reader().getLiveDocs();
      for (int doc = 0; doc < leaf.reader().maxDoc(); doc++) {
        if (live == null || live.get(doc)) {
          documents[count++] = leaf.docBase + doc;
        }
      }
    }
    new InPlaceMergeSorter() {
      @Override
      protected int compare(int i, int j) {
        return table.compare(documents[i], documents[j]);
      }

      @Override
      protected void swap(int i, int j) {
        int document = documents[i];
        documents[i] = documents[j];
        documents[j] = document;
      }
    }.sort(0, count);
    for (int i = 1; i < count && found.size() < most; i++) {
      String docid = table.docid(documents[i]);
      if (docid.equals(table.docid(documents[i - 1])) && !found.contains(docid)) {
        found.add(docid);
      }
    }
    PackedWriter out = new PackedWriter();
    out.writeInt(found.size());
    found.forEach(out::writeString);
    return out.toByteArray();
  }

  /**
   * Runs Lucene's CheckIndex, also while a writer has the index open. The report ends with {@code
   * clean} or {@code damaged}.
   */
  public static String check(Directory index) throws IOException {
    ByteArrayOutputStream report = new ByteArrayOutputStream();
    Directory unlocked =
        new FilterDirectory(index) {
          @Override
          public Lock obtainLock(String name) throws IOException {
            return NoLockFactory.INSTANCE.obtainLock(in, name); // nothing is changed
          }
        };
    try (CheckIndex checker = new CheckIndex(unlocked)) {
      checkContents(checker);
      checker.setInfoStream(new PrintStream(report, true, StandardCharsets.UTF_8));
      boolean clean = checker.checkIndex().clean;
      return report.toString(StandardCharsets.UTF_8) + (clean ? "clean" : "damaged");
    }
  }

  /** Closes the index; calls that work on it end first. */
  @Override
  public void close() throws IOException {
    isClosed = true;
    reader.close();
  }

  /**
   * Makes Lucene 10 check more than checksums, as Lucene 9, which has no such levels, always does.
   */
  private static void checkContents(CheckIndex checker) {
    int integrity = 2; // CheckIndex.Level.MIN_LEVEL_FOR_INTEGRITY_CHECKS
    try {
      CheckIndex.class.getMethod("setLevel", int.class).invoke(checker, integrity);
    } catch (NoSuchMethodException lucene9) {
      // It checks everything.
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error);
    }
  }
}
