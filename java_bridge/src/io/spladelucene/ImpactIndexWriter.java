package io.spladelucene;

import java.io.IOException;
import java.nio.file.Path;
import org.apache.lucene.document.Document;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.Term;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/** Adds, replaces and deletes documents of an index, a packed batch at a time. Nothing shows before a commit. */
public final class ImpactIndexWriter implements AutoCloseable {
  private final IndexWriter writer;
  private final ImpactTokenStream stream = new ImpactTokenStream();

  public ImpactIndexWriter(String index, boolean append) throws IOException {
    writer = Indexes.writer(Path.of(index), append);
  }

  /** Fails if another writer holds the index. */
  public static void checkUnlocked(String index) throws IOException {
    try (Directory directory = FSDirectory.open(Path.of(index))) {
      directory.obtainLock(IndexWriter.WRITE_LOCK_NAME).close();
    }
  }

  /**
   * Puts documents into the index; one with the docid of an indexed document replaces it.
   *
   * @param batch int count; per document: docid, raw (length -1: none), int terms; per term: int impact, term
   */
  public void put(byte[] batch) throws IOException {
    Packed in = new Packed(batch);
    for (int left = in.readInt(); left > 0; left--) {
      String docid = in.readString();
      String raw = in.readString();
      int size = in.readInt();
      BytesRef[] terms = new BytesRef[size];
      int[] impacts = new int[size];
      for (int i = 0; i < size; i++) {
        impacts[i] = in.readInt();
        terms[i] = in.readBytes();
      }
      Document document = Indexes.document(docid, stream.of(terms, impacts, size), raw);
      writer.updateDocument(new Term(Fields.ID, docid), document);
    }
  }

  /** Deletes documents. The batch: int count; per document: docid. */
  public void delete(byte[] batch) throws IOException {
    Packed in = new Packed(batch);
    for (int left = in.readInt(); left > 0; left--) {
      writer.deleteDocuments(new Term(Fields.ID, in.readString()));
    }
  }

  /** Makes all changes since the last commit durable and visible to searchers opened from now on. */
  public void commit() throws IOException {
    writer.commit();
  }

  /** Merges everything into one segment, which drops deleted documents. Shows at the next commit. */
  public void merge() throws IOException {
    writer.forceMerge(1);
  }

  public void rollback() throws IOException {
    writer.rollback();
  }

  @Override
  public void close() throws IOException {
    writer.close();
  }
}
