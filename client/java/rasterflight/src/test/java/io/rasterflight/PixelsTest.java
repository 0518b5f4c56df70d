package io.rasterflight;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.Stream;
import org.apache.arrow.memory.util.Float16;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Pixels of each type. */
class PixelsTest {
  private static Pixels pixels(DType dtype, String nodata, Object values, int count) {
    return new Pixels(new BandField("b", dtype, nodata, false, null, null, null, null), 1, count, values, null);
  }

  static Stream<Arguments> kinds() {
    return Stream.of(
        Arguments.of(DType.UINT8, "255", new byte[] {-1, -2}, 254.0),
        Arguments.of(DType.INT8, "-1", new byte[] {-1, -2}, -2.0),
        Arguments.of(DType.UINT16, "65535.0", new short[] {-1, -2}, 65534.0),
        Arguments.of(DType.INT16, "-1.5", new short[] {-1, -2}, -2.0),
        Arguments.of(DType.UINT32, "4294967295", new int[] {-1, -2}, 4294967294.0),
        Arguments.of(DType.INT32, "-1", new int[] {-1, -2}, -2.0),
        Arguments.of(DType.UINT64, "18446744073709551615", new long[] {-1, 1L << 63}, 0x1p63),
        Arguments.of(DType.INT64, "-1", new long[] {-1, -2}, -2.0),
        Arguments.of(DType.FLOAT16, "0.1", new short[] {Float16.toFloat16(0.1f), Float16.toFloat16(2.5f)}, 2.5),
        Arguments.of(DType.FLOAT32, "-3.4e38", new float[] {-3.4e38f, 0.1f}, (double) 0.1f),
        Arguments.of(DType.FLOAT64, "nan", new double[] {Double.NaN, 0.1}, 0.1));
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void theFirstIsNodataTheSecondIsNot(DType dtype, String nodata, Object values, double second) {
    Pixels pixels = pixels(dtype, nodata, values, 2);
    assertEquals(second, pixels.get(0, 1));
    assertFalse(pixels.isValid(0, 0));
    assertTrue(pixels.isValid(0, 1));
    assertArrayEquals(new double[] {Double.NaN, second}, pixels.toDoubles());
    assertTrue(pixels(dtype, null, values, 2).isValid(0, 0));
    assertNull(pixels.mask());
  }

  @Test
  void complexNumbersArePairs() {
    Pixels pixels = pixels(DType.COMPLEX64, "0", new float[] {1, 2, 3, 4}, 2);
    assertArrayEquals(new float[] {1, 2, 3, 4}, pixels.floats());
    assertEquals(
        "the pixels of b are complex64: use floats()", assertThrows(IllegalStateException.class, () -> pixels.get(0, 0)).getMessage());
  }

  @Test
  void anotherTypeThanTheirs() {
    IllegalStateException error =
        assertThrows(IllegalStateException.class, () -> pixels(DType.UINT16, null, new short[1], 1).floats());
    assertEquals("the pixels of b are uint16 in short[], not in float[]", error.getMessage());
  }

  @Test
  void placesOutside() {
    IndexOutOfBoundsException error =
        assertThrows(IndexOutOfBoundsException.class, () -> pixels(DType.UINT8, null, new byte[3], 3).get(1, 0));
    assertEquals("pixel (1, 0) of 1 x 3", error.getMessage());
  }
}
