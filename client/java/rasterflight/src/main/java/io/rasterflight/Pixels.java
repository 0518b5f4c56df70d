package io.rasterflight;

import java.lang.reflect.Array;
import java.math.BigDecimal;
import org.apache.arrow.memory.util.Float16;

/**
 * The pixels of one band of a chip, row by row from the top.
 *
 * <p>Java has no unsigned numbers: {@code uint8}, {@code uint16}, {@code uint32} and {@code uint64} come in {@code byte[]}, {@code short[]},
 * {@code int[]} and {@code long[]} with the same bits, to be read with {@link Byte#toUnsignedInt}, {@link Short#toUnsignedInt}, {@link
 * Integer#toUnsignedLong} and {@link Long#toUnsignedString(long)}. {@link #get} and {@link #toDoubles} do that by themselves. The bits of
 * {@code float16} come in {@code short[]}, complex numbers as pairs in {@code float[]} or {@code double[]}.
 */
public final class Pixels {
  private final BandField field;
  private final int height;
  private final int width;
  private final Object values;
  private final boolean[] mask;
  private final Number nodata;

  Pixels(BandField field, int height, int width, Object values, boolean[] mask) {
    this.field = field;
    this.height = height;
    this.width = width;
    this.values = values;
    this.mask = mask;
    this.nodata = nodataPixel(field);
  }

  /** What is known about the band. */
  public BandField field() {
    return field;
  }

  public DType dtype() {
    return field.dtype();
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  /** Pixels of the types uint8 and int8. */
  public byte[] bytes() {
    return as(byte[].class);
  }

  /** Pixels of the types uint16 and int16, and the bits of float16. */
  public short[] shorts() {
    return as(short[].class);
  }

  /** Pixels of the types uint32 and int32. */
  public int[] ints() {
    return as(int[].class);
  }

  /** Pixels of the types uint64 and int64. */
  public long[] longs() {
    return as(long[].class);
  }

  /** Pixels of the types float32 and complex64. */
  public float[] floats() {
    return as(float[].class);
  }

  /** Pixels of the types float64 and complex128. */
  public double[] doubles() {
    return as(double[].class);
  }

  /**
   * A pixel as a number, as it is in the file; whole numbers beyond 2^53 are rounded.
   *
   * @throws IllegalStateException the pixels are complex numbers
   */
  public double get(int row, int col) {
    return number(index(row, col));
  }

  /** Whether a pixel stands for something: by the mask where the read was masked, by nodata otherwise. */
  public boolean isValid(int row, int col) {
    return valid(index(row, col));
  }

  /** True where a pixel is invalid, as in NumPy's masked arrays, row by row; null: the read was not masked. */
  public boolean[] mask() {
    return mask;
  }

  /**
   * All pixels as numbers, row by row, NaN where they are invalid.
   *
   * @throws IllegalStateException the pixels are complex numbers
   */
  public double[] toDoubles() {
    double[] numbers = new double[height * width];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = valid(i) ? number(i) : Double.NaN;
    }
    return numbers;
  }

  private int index(int row, int col) {
    if (row < 0 || row >= height || col < 0 || col >= width) {
      throw new IndexOutOfBoundsException("pixel (" + row + ", " + col + ") of " + height + " x " + width);
    }
    return row * width + col;
  }

  private boolean valid(int i) {
    if (mask != null) {
      return !mask[i];
    }
    if (nodata == null) {
      return true;
    }
    if (values instanceof long[] longs) {
      return longs[i] != nodata.longValue();
    }
    double value = number(i);
    double none = nodata.doubleValue();
    return value != none && !(Double.isNaN(value) && Double.isNaN(none));
  }

  private double number(int i) {
    return switch (dtype()) {
      case UINT8 -> Byte.toUnsignedInt(((byte[]) values)[i]);
      case INT8 -> ((byte[]) values)[i];
      case UINT16 -> Short.toUnsignedInt(((short[]) values)[i]);
      case INT16 -> ((short[]) values)[i];
      case UINT32 -> Integer.toUnsignedLong(((int[]) values)[i]);
      case INT32 -> ((int[]) values)[i];
      case UINT64 -> unsigned(((long[]) values)[i]);
      case INT64 -> ((long[]) values)[i];
      case FLOAT16 -> Float16.toFloat(((short[]) values)[i]);
      case FLOAT32 -> ((float[]) values)[i];
      case FLOAT64 -> ((double[]) values)[i];
      case COMPLEX64, COMPLEX128 -> throw new IllegalStateException(
          "the pixels of " + field.name() + " are " + dtype() + ": use " + (values instanceof float[] ? "floats()" : "doubles()"));
    };
  }

  private <T> T as(Class<T> type) {
    if (!type.isInstance(values)) {
      throw new IllegalStateException(
          "the pixels of " + field.name() + " are " + dtype() + " in " + values.getClass().getSimpleName() + ", not in "
              + type.getSimpleName());
    }
    return type.cast(values);
  }

  /** The array itself. */
  Object values() {
    return values;
  }

  private static double unsigned(long bits) {
    // halved with the last bit kept, so that it is rounded once
    return bits >= 0 ? bits : ((bits >>> 1) | (bits & 1)) * 2.0;
  }

  /** The pixel that counts as nodata. Files may declare a fraction for whole numbers; the whole part then counts. */
  private static Number nodataPixel(BandField field) {
    String text = field.nodata();
    if (text == null || field.dtype().parts() > 1) {
      return null;
    }
    return switch (field.dtype()) {
      case FLOAT32 -> (float) parse(text);
      case FLOAT16 -> Float16.toFloat(Float16.toFloat16((float) parse(text)));
      case FLOAT64 -> parse(text);
      case UINT64, INT64 -> new BigDecimal(text).toBigInteger().longValue();
      default -> new BigDecimal(text).toBigInteger().doubleValue();
    };
  }

  private static double parse(String text) {
    return switch (text) {
      case "nan" -> Double.NaN;
      case "inf" -> Double.POSITIVE_INFINITY;
      case "-inf" -> Double.NEGATIVE_INFINITY;
      default -> Double.parseDouble(text);
    };
  }

  /** An array for so many pixels of a type. */
  static Object array(DType dtype, int pixels) {
    Class<?> number =
        switch (dtype) {
          case UINT8, INT8 -> byte.class;
          case UINT16, INT16, FLOAT16 -> short.class;
          case UINT32, INT32 -> int.class;
          case UINT64, INT64 -> long.class;
          case FLOAT32, COMPLEX64 -> float.class;
          case FLOAT64, COMPLEX128 -> double.class;
        };
    return Array.newInstance(number, Math.multiplyExact(pixels, dtype.parts()));
  }
}
