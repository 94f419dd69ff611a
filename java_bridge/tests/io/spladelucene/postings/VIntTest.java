package io.spladelucene.postings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class VIntTest {
  @Test
  void lengthsChangeAtPowersOfTwoToTheSeventh() {
    int[] values = {0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455, 268435456};
    int[] lengths = {1, 1, 2, 2, 3, 3, 4, 4, 5};
    for (int i = 0; i < values.length; i++) {
      assertEquals(lengths[i], VInt.length(values[i]), "" + values[i]);
    }
    assertEquals(5, VInt.length(Integer.MAX_VALUE));
  }

  @Test
  void theBytesAreThoseOfLucene() {
    byte[] bytes = new byte[2];
    assertEquals(2, VInt.write(bytes, 0, 300));
    assertArrayEquals(new byte[] {(byte) 0xAC, 0x02}, bytes);
  }

  @Test
  void sequencesRoundTrip() {
    Random random = new Random(1);
    int[] values = new int[100_000];
    Arrays.setAll(values, i -> random.nextInt() >>> 1 + random.nextInt(31));
    values[0] = Integer.MAX_VALUE;
    byte[] bytes = new byte[5 * values.length];
    int end = 0;
    for (int value : values) {
      int next = VInt.write(bytes, end, value);
      assertEquals(VInt.length(value), next - end);
      end = next;
    }
    int at = 0;
    for (int value : values) {
      assertEquals(value, VInt.read(bytes, at));
      at += VInt.length(value);
    }
    assertEquals(end, at);
  }
}
