package io.spladelucene.index;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.spladelucene.RandomCollection;
import io.spladelucene.postings.ImpactPlanes;
import io.spladelucene.postings.PostingsReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AcceleratorTest {
  @TempDir Path folder;
  private ImpactIndexReader reader;
  private LeafReader leaf;

  @BeforeEach
  void buildIndex() throws IOException {
    ByteBuffersDirectory directory = new ByteBuffersDirectory();
    try (ImpactIndexWriter writer = new ImpactIndexWriter(directory, false)) {
      writer.put(
          RandomCollection.pack(RandomCollection.documents(new Random(71), 3000, 400, 20, 5000)));
      writer.commit(new byte[0]);
    }
    reader = new ImpactIndexReader(directory);
    leaf = reader.leaves().get(0).reader();
  }

  @AfterEach
  void closeIndex() throws IOException {
    reader.close();
  }

  private interface Check {
    void of(BytesRef term, ImpactPlanes fromLucene) throws IOException;
  }

  private void forEachTerm(Check check) throws IOException {
    TermsEnum terms = leaf.terms(Fields.CONTENTS).iterator();
    for (BytesRef term = terms.next(); term != null; term = terms.next()) {
      check.of(term, new PostingsReader().read(terms, leaf.maxDoc()));
    }
  }

  @Test
  void itHasThePostingsOfLucene() throws IOException {
    reader.accelerate(folder, false, false, Long.MAX_VALUE);
    try (Accelerator accelerator = Accelerator.open(folder, leaf)) {
      forEachTerm(
          (term, expected) -> {
            ImpactPlanes found = accelerator.readIfSound(term);
            assertArrayEquals(expected.factors(), found.factors());
            for (int i = 0; i < expected.lists().length; i++) {
              assertArrayEquals(expected.lists()[i].docs, found.lists()[i].docs);
              assertArrayEquals(expected.lists()[i].impacts, found.lists()[i].impacts);
              assertArrayEquals(
                  expected.lists()[i].blocks().maxima, found.lists()[i].blocks().maxima);
            }
          });
      assertNull(accelerator.readIfSound(new BytesRef("no such term")));
      assertFalse(accelerator.isDamaged());
    }
  }

  @Test
  void withLittleRoomItKeepsTheLongestLists() throws IOException {
    reader.accelerate(folder, false, false, Long.MAX_VALUE);
    long whole = Files.size(folder.resolve(reader.acceleratorNames()));
    reader.accelerate(folder, true, false, whole / 2);
    assertTrue(Files.size(folder.resolve(reader.acceleratorNames())) <= whole / 2);
    try (Accelerator accelerator = Accelerator.open(folder, leaf)) {
      int[] shortestKept = {Integer.MAX_VALUE};
      int[] longestLeftOut = {0};
      forEachTerm(
          (term, planes) -> {
            if (accelerator.readIfSound(term) != null) {
              shortestKept[0] = Math.min(shortestKept[0], planes.lists()[0].docs.length);
            } else {
              longestLeftOut[0] = Math.max(longestLeftOut[0], planes.lists()[0].docs.length);
            }
          });
      assertTrue(longestLeftOut[0] > 0 && shortestKept[0] > longestLeftOut[0]);
    }
  }

  @Test
  void aDamagedListIsNotUsed() throws IOException {
    reader.accelerate(folder, false, false, Long.MAX_VALUE);
    Path file = folder.resolve(reader.acceleratorNames());
    byte[] whole = Files.readAllBytes(file);
    // Of the first list: checksum, count, factor, size, ranked impacts, dense, documents.
    for (int at : new int[] {48, 52, 56, 60, 66, 84, 95}) {
      byte[] bytes = whole.clone();
      bytes[at] ^= 1;
      Files.write(file, bytes);
      try (Accelerator accelerator = Accelerator.open(folder, leaf)) {
        assertNotNull(accelerator);
        int[] read = {0};
        forEachTerm((term, planes) -> read[0] += accelerator.readIfSound(term) == null ? 0 : 1);
        assertTrue(accelerator.isDamaged(), "byte " + at);
        assertEquals(0, read[0], "lists that were read after the damage was known");
      }
    }
  }

  @Test
  void aDamagedHeaderOrDirectoryIsRefused() throws IOException {
    reader.accelerate(folder, false, false, Long.MAX_VALUE);
    Path file = folder.resolve(reader.acceleratorNames());
    byte[] whole = Files.readAllBytes(file);
    for (int at : new int[] {0, 9, 13, 29, 33, 37, 45, whole.length - 1, whole.length - 5000}) {
      byte[] bytes = whole.clone();
      bytes[at] ^= 4;
      Files.write(file, bytes);
      assertThrows(IOException.class, () -> Accelerator.open(folder, leaf), "byte " + at);
      assertFalse(Accelerator.isUsable(folder, leaf));
    }
    Files.write(file, new byte[10]);
    assertThrows(IOException.class, () -> Accelerator.open(folder, leaf));
    Files.delete(file);
    assertNull(Accelerator.open(folder, leaf));
  }
}
