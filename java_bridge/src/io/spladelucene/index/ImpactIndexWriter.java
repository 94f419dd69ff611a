package io.spladelucene.index;

import io.spladelucene.wire.ImpactDocument;
import io.spladelucene.wire.PackedDocuments;
import io.spladelucene.wire.PackedLists;
import java.io.Closeable;
import java.io.IOException;
import org.apache.lucene.document.Document;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.Term;
import org.apache.lucene.store.Directory;

/**
 * Adds, replaces and deletes documents of an impact index, a packed batch at a time. Readers see no
 * change before a commit. For one thread.
 */
public final class ImpactIndexWriter implements Closeable {
  private final IndexWriter writer;
  private final ImpactTokenStream stream = new ImpactTokenStream();

  /**
   * Opens an index for writing.
   *
   * @param append whether to change an existing index; otherwise what is there is replaced
   */
  public ImpactIndexWriter(Directory index, boolean append) throws IOException {
    writer = AnseriniFormat.openWriter(index, append);
  }

  /**
   * Checks that no other writer has an index open.
   *
   * @throws org.apache.lucene.store.LockObtainFailedException if one has
   */
  public static void checkUnlocked(Directory index) throws IOException {
    index.obtainLock(IndexWriter.WRITE_LOCK_NAME).close();
  }

  /**
   * Adds documents; a document replaces those with the same docid.
   *
   * @param documents as {@link PackedDocuments#readImpactDocuments} reads them
   */
  public void put(byte[] documents) throws IOException {
    for (ImpactDocument each : PackedDocuments.readImpactDocuments(documents)) {
      ImpactTokenStream tokens = stream.of(each.terms(), each.impacts(), each.terms().length);
      Document document = AnseriniFormat.impactDocument(each.docid(), tokens, each.raw());
      writer.updateDocument(new Term(Fields.ID, each.docid()), document);
    }
  }

  /**
   * Deletes documents. A docid that the index lacks is ignored.
   *
   * @param docids as {@link PackedLists#readStrings} reads them
   */
  public void delete(byte[] docids) throws IOException {
    for (String docid : PackedLists.readStrings(docids)) {
      writer.deleteDocuments(new Term(Fields.ID, docid));
    }
  }

  /** Makes all changes since the last commit durable, and visible to readers opened from now on. */
  public void commit() throws IOException {
    writer.commit();
  }

  /** Merges all segments into one, which removes deleted documents. Visible after a commit. */
  public void merge() throws IOException {
    writer.forceMerge(1);
  }

  /** Drops all changes since the last commit and closes the writer. */
  public void rollback() throws IOException {
    writer.rollback();
  }

  @Override
  public void close() throws IOException {
    writer.close();
  }
}
