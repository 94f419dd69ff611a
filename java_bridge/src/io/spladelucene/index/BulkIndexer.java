package io.spladelucene.index;

import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.spladelucene.fields.FieldSchema;
import io.spladelucene.postings.InvertedBlock;
import io.spladelucene.postings.LiveDocuments;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.lucene.document.Document;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.SlowCodecReaderWrapper;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.store.Directory;
import org.apache.lucene.util.Bits;
import org.apache.lucene.util.BytesRef;

/**
 * Builds a Lucene impact index from files of pseudo-documents. All threads parse and invert blocks
 * of lines, whatever the number of files. The blocks are written in input order, so that the index
 * does not depend on the number of threads.
 *
 * <p>A build has threads of its own. The caller starts it, asks for its progress, and may cancel
 * it. If a build fails or is cancelled, an index that existed before is unchanged. If it succeeds,
 * the caller commits it, or rolls it back.
 */
public final class BulkIndexer {
  // Pyjnius cannot take half of a surrogate pair, which a message may have.
  private static final ObjectMapper JSON =
      JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

  private final List<Path> files;
  private final Directory index;
  private final PseudoDocumentParser.Store store;
  private final int threads;
  private final boolean skipBad;
  private final boolean append;
  private final boolean replace;
  private final boolean inInputOrder;
  private final long memory;
  private final FieldSchema schema;
  private final boolean bm25;

  private final TermDictionary dictionary = new TermDictionary();
  private final TextDictionary textDictionary;
  private final DocidSet docids = new DocidSet();
  private final List<int[]> blockOrigins = new ArrayList<>(); // file, and lines before the block
  private final List<ObjectNode> bad = new ArrayList<>();
  private final BlockingQueue<Worker> workers;
  private List<InvertedBlock> pending = new ArrayList<>();
  private long pendingBytes = 0;
  private int lastFile = -1;
  private int linesOfFile = 0;

  private volatile LineBlocks source;
  private volatile long documents = 0;
  private volatile long postings = 0;
  private volatile long withoutText = 0;
  private volatile boolean cancelled = false;
  private volatile Throwable failure;
  private ImpactIndexWriter writer;
  private Thread thread;

  /**
   * Prepares a build.
   *
   * @param files read in this order
   * @param store what the stored field has: {@code none}, {@code text} or {@code raw}
   * @param skipBad whether to leave out bad documents; otherwise the first one ends the build
   * @param append whether to add to an existing index; otherwise what is there is replaced
   * @param replace whether a document replaces one of the index with the same docid; otherwise it
   *     is a bad document
   * @param order {@code bp}: by graph bisection, within each segment that is written; {@code
   *     input}: input order
   * @param memory the bytes of inverted blocks, and of the terms of their texts, above which a
   *     segment is written
   * @param schema the fields that are indexed
   * @param bm25 whether texts are indexed for BM25, too
   */
  public BulkIndexer(
      List<Path> files,
      Directory index,
      String store,
      int threads,
      boolean skipBad,
      boolean append,
      boolean replace,
      String order,
      long memory,
      FieldSchema schema,
      boolean bm25) {
    this.files = List.copyOf(files);
    this.index = index;
    this.store = PseudoDocumentParser.Store.valueOf(store.toUpperCase(Locale.ROOT));
    this.threads = threads;
    this.skipBad = skipBad;
    this.append = append;
    this.replace = replace;
    inInputOrder = order.equals("input");
    this.memory = memory;
    this.schema = schema;
    this.bm25 = bm25;
    textDictionary = bm25 ? new TextDictionary() : null;
    workers = new ArrayBlockingQueue<>(threads);
    for (int i = 0; i < threads; i++) {
      workers.add(new Worker());
    }
  }

  /** Starts the build and returns immediately. */
  public void start() {
    thread = new Thread(this::run, "bulk-indexer");
    thread.setDaemon(true);
    thread.start();
  }

  /** Waits for the end of the build, but not longer than a time; true if it has ended. */
  public boolean await(long millis) throws InterruptedException {
    thread.join(millis);
    return !thread.isAlive();
  }

  /** Asks the build to stop. {@link #await} says when it has. */
  public void cancel() {
    cancelled = true;
    thread.interrupt();
  }

  /** The number of documents that were accepted so far. */
  public long documents() {
    return documents;
  }

  /** The number of bytes of the files that were read so far. */
  public long bytesRead() {
    LineBlocks blocks = source;
    return blocks == null ? 0 : blocks.bytesRead();
  }

  /**
   * What a build that has ended did, as JSON: documents, postings, terms, without_text (for BM25; 0
   * if texts are not indexed), failed, and bad: the bad documents, each with kind, detail, line,
   * and the position of its file among all files. If a file cannot be read: unreadable, the
   * position of the file, and reason.
   *
   * @throws Exception what made the build fail, unless it was the input
   */
  public String result() throws Exception {
    if (cancelled) {
      throw new CancellationException("cancelled");
    }
    boolean isInput = failure instanceof BadInput || failure instanceof LineBlocks.UnreadableInput;
    if (failure instanceof Exception e && !isInput) {
      throw e;
    }
    if (failure instanceof Error e) {
      throw e;
    }
    ObjectNode result = JSON.createObjectNode();
    result.put("documents", documents);
    result.put("postings", postings);
    result.put("terms", dictionary.size());
    result.put("without_text", withoutText);
    result.put("failed", failure != null);
    if (failure instanceof LineBlocks.UnreadableInput damage) {
      result.put("unreadable", damage.file);
      result.put("reason", damage.getMessage());
    }
    ArrayNode list = result.putArray("bad");
    bad.forEach(list::add);
    return JSON.writeValueAsString(result);
  }

  /** Ends a build at its first bad document, which is the last element of {@link #bad}. */
  private static final class BadInput extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /** The writer of a build that succeeded: with its documents, which are not committed yet. */
  public ImpactIndexWriter writer() {
    return writer;
  }

  private void run() {
    try {
      ImpactIndexWriter opened = new ImpactIndexWriter(index, append);
      try {
        if (append && !replace) {
          rememberIndexedDocids();
        }
        readAll(opened);
        flush(opened);
        if (!append) {
          opened.merge();
        }
        if (cancelled) {
          throw new CancellationException("cancelled");
        }
      } catch (Throwable e) {
        throw opened.rolledBack(e);
      }
      writer = opened;
    } catch (Throwable e) {
      failure = e;
    }
  }

  private void rememberIndexedDocids() throws IOException {
    try (DirectoryReader reader = DirectoryReader.open(index)) {
      int origin = addOrigin(-1, 0);
      for (LeafReaderContext leaf : reader.leaves()) {
        if (leaf.reader().terms(Fields.ID) == null) {
          continue;
        }
        TermsEnum terms = leaf.reader().terms(Fields.ID).iterator();
        Bits live = leaf.reader().getLiveDocs();
        PostingsEnum postings = null;
        for (BytesRef term = terms.next(); term != null; term = terms.next()) {
          postings = terms.postings(postings, PostingsEnum.NONE);
          for (int doc = LiveDocuments.next(postings, live);
              doc != PostingsEnum.NO_MORE_DOCS;
              doc = LiveDocuments.next(postings, live)) {
            docids.add(BytesRef.deepCopyOf(term).bytes, (long) origin << 32);
          }
        }
      }
    }
  }

  private void readAll(ImpactIndexWriter writer) throws Exception {
    ExecutorService pool =
        Executors.newFixedThreadPool(
            threads,
            task -> {
              Thread worker = new Thread(task, "inverter");
              worker.setDaemon(true);
              return worker;
            });
    ArrayDeque<Future<Inverted>> running = new ArrayDeque<>();
    try (LineBlocks blocks = new LineBlocks(files)) {
      source = blocks;
      boolean atEnd = false;
      LineBlocks.UnreadableInput damage = null;
      while (true) {
        while (!atEnd && running.size() <= 2 * threads) {
          try {
            LineBlocks.Block block = blocks.next();
            atEnd = block == null;
            if (!atEnd) {
              running.add(pool.submit(() -> invert(block)));
            }
          } catch (LineBlocks.UnreadableInput e) { // bad lines before it are reported first
            damage = e;
            atEnd = true;
          }
        }
        if (running.isEmpty()) {
          break;
        }
        accept(running.removeFirst().get(), writer);
      }
      if (damage != null) {
        throw damage;
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    } finally {
      pool.shutdownNow();
    }
  }

  /**
   * A block of lines that was parsed and inverted. All line numbers are from 0 within the block.
   *
   * @param lines the line of each document
   * @param lineCount all lines, including those without a document
   * @param textTerms the dictionary of the terms of texts; {@code null}: texts are not indexed
   */
  private record Inverted(
      int file,
      InvertedBlock block,
      int[] lines,
      int lineCount,
      List<ObjectNode> bad,
      TermDictionary textTerms) {}

  private final class Worker {
    final InvertedBlock.Builder builder = new InvertedBlock.Builder(bm25);
    final TextTerms texts = bm25 ? new TextTerms(textDictionary.current()) : null;
    final PseudoDocumentParser parser =
        new PseudoDocumentParser(new TermDictionary.Cache(dictionary), store, schema, texts);
    int[] lines = new int[1024];
  }

  private Inverted invert(LineBlocks.Block block) throws InterruptedException {
    Worker worker = workers.take();
    try {
      if (bm25) {
        worker.texts.begin(textDictionary.current());
      }
      List<ObjectNode> badLines = new ArrayList<>();
      byte[] bytes = block.bytes();
      int line = 0;
      for (int from = 0; from < block.length(); line++) {
        int to = from;
        while (to < block.length() && bytes[to] != '\n') {
          to++;
        }
        if (!isBlank(bytes, from, to)) {
          try {
            int document = worker.builder.documents();
            worker.parser.add(bytes, from, to, worker.builder);
            if (document == worker.lines.length) {
              worker.lines = Arrays.copyOf(worker.lines, document * 2);
            }
            worker.lines[document] = line;
          } catch (BadPseudoDocument e) {
            badLines.add(describe(e.kind, e.detail, line));
          }
        }
        from = to + 1;
      }
      int[] lines = Arrays.copyOf(worker.lines, worker.builder.documents());
      return new Inverted(
          block.file(),
          worker.builder.invert(dictionary.size()),
          lines,
          line,
          badLines,
          bm25 ? worker.texts.dictionary() : null);
    } finally {
      workers.add(worker);
    }
  }

  /** Whether a line has only ASCII white space, as Python's bytes.isspace. */
  private static boolean isBlank(byte[] bytes, int from, int to) {
    for (int i = from; i < to; i++) {
      if (bytes[i] != ' ' && (bytes[i] < '\t' || bytes[i] > '\r')) {
        return false;
      }
    }
    return true;
  }

  /** Takes the next block in input order, without its duplicates. */
  private void accept(Inverted inverted, ImpactIndexWriter writer) throws Exception {
    if (cancelled) {
      throw new CancellationException("cancelled");
    }
    if (inverted.file() != lastFile) {
      lastFile = inverted.file();
      linesOfFile = 0;
    }
    int origin = addOrigin(inverted.file(), linesOfFile);
    linesOfFile += inverted.lineCount();
    List<ObjectNode> badLines = new ArrayList<>(inverted.bad());
    InvertedBlock block = inverted.block();
    if (bm25) {
      block = textDictionary.add(block, inverted.textTerms());
    }
    boolean[] drop = new boolean[block.documents];
    boolean anyDropped = false;
    for (int document = 0; document < block.documents; document++) {
      int line = inverted.lines()[document];
      long first = docids.add(block.docids[document], (long) origin << 32 | line);
      if (first >= 0) {
        drop[document] = true;
        anyDropped = true;
        String docid = new BytesRef(block.docids[document]).utf8ToString();
        ObjectNode duplicate = describe("duplicate-id", JsonDocument.shown(docid), line);
        int[] firstOrigin = blockOrigins.get((int) (first >>> 32));
        if (firstOrigin[0] >= 0) {
          duplicate.put("first_file", firstOrigin[0]);
          duplicate.put("first_line", firstOrigin[1] + (int) first + 1);
        }
        badLines.add(duplicate);
      }
    }
    if (!badLines.isEmpty()) {
      badLines.sort(Comparator.comparingInt(node -> node.get("line").asInt()));
      int before = blockOrigins.get(origin)[1];
      for (ObjectNode node : badLines) {
        node.put("line", node.get("line").asInt() + before + 1);
        node.put("file", inverted.file());
      }
      bad.addAll(badLines);
      if (!skipBad) {
        throw new BadInput();
      }
    }
    if (anyDropped) {
      block = block.without(drop);
    }
    if (block.documents > 0) {
      pending.add(block);
      pendingBytes += block.bytes;
      documents += block.documents;
      for (int docFreq : block.docFreqs) {
        postings += docFreq;
      }
      if (pendingBytes + (bm25 ? textDictionary.bytes() : 0) > memory) {
        flush(writer);
      }
    }
  }

  /** Remembers where a block comes from; the file is -1 for documents of the existing index. */
  private int addOrigin(int file, int linesBefore) {
    blockOrigins.add(new int[] {file, linesBefore});
    return blockOrigins.size() - 1;
  }

  private static ObjectNode describe(String kind, String detail, int line) {
    return JSON.createObjectNode().put("kind", kind).put("detail", detail).put("line", line);
  }

  /** Writes the pending blocks as one segment. */
  private void flush(ImpactIndexWriter writer) throws Exception {
    if (pending.isEmpty()) {
      return;
    }
    if (append && replace) {
      for (InvertedBlock block : pending) {
        for (byte[] docid : block.docids) {
          writer.delete(new BytesRef(docid)); // not the segment that is added below
        }
      }
    }
    if (!inInputOrder) {
      pending = Reordering.reorder(pending, dictionary.size(), threads);
    }
    ByteBuffersDirectory directory = new ByteBuffersDirectory();
    try (IndexWriter template = AnseriniFormat.openWriter(directory, false)) {
      writeTemplate(template);
    }
    try (DirectoryReader template = DirectoryReader.open(directory)) {
      InvertedSegment segment =
          new InvertedSegment(
              template.leaves().get(0).reader(),
              pending,
              dictionary.terms(),
              bm25 ? textDictionary.current().terms() : List.of());
      withoutText += segment.withoutText();
      writer.lucene().addIndexes(SlowCodecReaderWrapper.wrap(segment));
    }
    pending = new ArrayList<>();
    pendingBytes = 0;
    if (bm25) {
      textDictionary.renew();
    }
  }

  /**
   * Writes a document with the fields of the format, and the values of the pending documents:
   * Lucene itself makes the doc values and points of the segment.
   */
  private void writeTemplate(IndexWriter template) throws IOException {
    ImpactTokenStream oneTerm =
        new ImpactTokenStream().of(new BytesRef[] {new BytesRef("term")}, new int[] {1}, 1);
    String raw = store == PseudoDocumentParser.Store.NONE ? null : "";
    Document document =
        AnseriniFormat.impactDocument("template", oneTerm, raw, bm25 ? "term" : null);
    if (schema.isEmpty()) {
      template.addDocument(document);
      return;
    }
    for (InvertedBlock block : pending) {
      for (byte[] values : block.values) {
        if (values != null) {
          schema.addTo(document, new BytesRef(values));
        }
        template.addDocument(document);
        document = new Document();
      }
    }
    template.forceMerge(1);
  }
}
