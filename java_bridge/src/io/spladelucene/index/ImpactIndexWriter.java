package io.spladelucene.index;

import io.spladelucene.fields.FieldSchema;
import io.spladelucene.wire.ImpactDocument;
import io.spladelucene.wire.PackedDocuments;
import io.spladelucene.wire.PackedLists;
import io.spladelucene.wire.PackedWriter;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.document.Document;
import org.apache.lucene.index.CodecReader;
import org.apache.lucene.index.ConcurrentMergeScheduler;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.SegmentInfos;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.store.Directory;
import org.apache.lucene.util.BytesRef;

/**
 * Adds, replaces and deletes documents of an impact index. Readers see no change before a commit,
 * which keeps the manifest together with the documents. For one thread.
 */
public final class ImpactIndexWriter implements Closeable {
  private final Directory index;
  private final IndexWriter writer;
  private final int documentsBefore;
  private final SegmentInfos commitBefore; // null: there was none, or it is replaced
  private final ImpactTokenStream stream = new ImpactTokenStream();
  private long number; // of the last commit, or of one that was cut off
  private FieldSchema schema = FieldSchema.NONE;

  /**
   * Opens an index for writing.
   *
   * @param append whether to change an existing index; otherwise what is there is replaced
   */
  public ImpactIndexWriter(Directory index, boolean append) throws IOException {
    this(index, append, AnseriniFormat.config(append));
  }

  /**
   * Opens a new index for the segments of others; what is there is replaced.
   *
   * @param createdMajor the version of Lucene that created them
   */
  public ImpactIndexWriter(Directory index, int createdMajor) throws IOException {
    this(index, false, AnseriniFormat.configForSegments(createdMajor));
  }

  private ImpactIndexWriter(Directory index, boolean append, IndexWriterConfig config)
      throws IOException {
    this.index = index;
    long numberBefore = Commits.lastNumber(index); // opening deletes files of cut-off commits
    writer = new IndexWriter(index, config);
    try {
      number = Math.max(numberBefore, Commits.lastNumber(index));
      documentsBefore = writer.getDocStats().numDocs;
      commitBefore = append ? SegmentInfos.readLatestCommit(index) : null;
    } catch (Throwable e) {
      writer.rollback();
      throw e;
    }
  }

  /**
   * Checks that no other writer has an index open.
   *
   * @throws org.apache.lucene.store.LockObtainFailedException if one has
   */
  public static void checkUnlocked(Directory index) throws IOException {
    index.obtainLock(IndexWriter.WRITE_LOCK_NAME).close();
  }

  /** Lucene's writer, for changes that this class does not offer. */
  IndexWriter lucene() {
    return writer;
  }

  /** What this writer changes: int documents, and the commit as {@link Commits#pack}, if any. */
  public byte[] before() {
    PackedWriter out = new PackedWriter();
    out.writeInt(documentsBefore);
    if (commitBefore != null) {
      out.writeRaw(Commits.pack(commitBefore));
    }
    return out.toByteArray();
  }

  /** Says which fields the documents have that are added from now on. */
  public void declare(FieldSchema fields) {
    schema = fields;
  }

  /**
   * Adds documents; a document replaces those with the same docid.
   *
   * @param documents as {@link PackedDocuments#readImpactDocuments} reads them
   */
  public void put(byte[] documents) throws IOException {
    for (ImpactDocument each : PackedDocuments.readImpactDocuments(documents)) {
      ImpactTokenStream tokens = stream.of(each.terms(), each.impacts(), each.terms().length);
      Document document =
          AnseriniFormat.impactDocument(each.docid(), tokens, each.raw(), each.text());
      if (each.values() != null) {
        schema.addTo(document, each.values());
      }
      writer.updateDocument(new Term(Fields.ID, each.docid()), document);
    }
  }

  /**
   * Deletes documents. A docid that the index lacks is ignored.
   *
   * @param docids as {@link PackedLists#readBytes} reads them
   */
  public void delete(byte[] docids) throws IOException {
    for (BytesRef docid : PackedLists.readBytes(docids)) {
      delete(docid);
    }
  }

  /** Deletes the documents with a docid. */
  void delete(BytesRef docid) throws IOException {
    writer.deleteDocuments(new Term(Fields.ID, docid));
  }

  /**
   * Which documents the index would have after a commit.
   *
   * @param docids as {@link PackedLists#readStrings} reads them
   * @return int count and those docids that it would have
   */
  public byte[] held(byte[] docids) throws IOException {
    PackedWriter out = new PackedWriter();
    int count = 0;
    try (DirectoryReader reader = DirectoryReader.open(writer)) {
      IndexSearcher searcher = new IndexSearcher(reader);
      for (String docid : PackedLists.readStrings(docids)) {
        if (searcher.count(new TermQuery(new Term(Fields.ID, docid))) > 0) {
          out.writeString(docid);
          count++;
        }
      }
    }
    PackedWriter all = new PackedWriter();
    all.writeInt(count);
    all.writeRaw(out.toByteArray());
    return all.toByteArray();
  }

  /**
   * Writes all changes to the disk, where readers do not see them yet, and ends running merges, so
   * that a commit has nothing left to change.
   *
   * @return int documents, the string name of the commit that would follow, and an int: 1 if there
   *     are changes since the last commit
   */
  public byte[] prepare() throws IOException {
    writer.flush();
    if (writer.getConfig().getMergeScheduler() instanceof ConcurrentMergeScheduler merges) {
      merges.sync();
    }
    PackedWriter out = new PackedWriter();
    out.writeInt(writer.getDocStats().numDocs);
    out.writeString(Commits.nameOf(number + 1));
    out.writeInt(writer.hasUncommittedChanges() ? 1 : 0);
    return out.toByteArray();
  }

  /**
   * Makes all changes durable, and visible to readers opened from now on, together with a manifest.
   *
   * @param manifest in UTF-8
   * @return whether the commit has the name that {@link #prepare} announced
   */
  public boolean commit(byte[] manifest) throws IOException {
    long expected = number + 1;
    writer.setLiveCommitData(Commits.data(manifest).entrySet());
    writer.commit();
    number = SegmentInfos.getLastCommitGeneration(index);
    return number == expected;
  }

  /** Adds all documents of an open index that are not deleted there. */
  public void addAll(ImpactIndexReader documents) throws IOException {
    List<CodecReader> segments = new ArrayList<>();
    for (LeafReaderContext leaf : documents.leaves()) {
      if (leaf.reader().numDocs() > 0) {
        segments.add((CodecReader) leaf.reader());
      }
    }
    if (!segments.isEmpty()) {
      writer.addIndexes(segments.toArray(CodecReader[]::new));
    }
  }

  /** Merges all segments into one, which removes deleted documents. Visible after a commit. */
  public void merge() throws IOException {
    writer.forceMerge(1);
  }

  /**
   * Merges all segments into one whose documents are ordered by {@link GraphBisection}. Visible
   * after a commit.
   *
   * @param memory for the order, in bytes; larger indexes are ordered in pieces
   */
  public void optimize(int threads, long memory) throws IOException {
    merge();
    try (DirectoryReader merged = DirectoryReader.open(writer)) {
      if (merged.maxDoc() < 2) {
        return;
      }
      CodecReader segment = (CodecReader) merged.leaves().get(0).reader();
      CodecReader ordered = SegmentOrder.reorder(segment, threads, memory);
      writer.deleteAll();
      writer.addIndexes(ordered);
    }
  }

  /** Drops all changes since the last commit and closes the writer. */
  public void rollback() throws IOException {
    writer.rollback();
  }

  /** {@link #rollback} after an error, which is returned, with that of the rollback if it fails. */
  public <E extends Throwable> E rolledBack(E error) {
    try {
      rollback();
    } catch (Throwable e) {
      error.addSuppressed(e);
    }
    return error;
  }

  /** As {@link #rollback}: a commit would lose the name of the last one. */
  @Override
  public void close() throws IOException {
    rollback();
  }
}
