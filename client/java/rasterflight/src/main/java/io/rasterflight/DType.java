package io.rasterflight;

/** Type of pixels, named as NumPy does. */
public enum DType {
  UINT8,
  INT8,
  UINT16,
  INT16,
  UINT32,
  INT32,
  UINT64,
  INT64,
  FLOAT16,
  FLOAT32,
  FLOAT64,
  /** A pair of float32, real before imaginary. */
  COMPLEX64,
  /** A pair of float64, real before imaginary. */
  COMPLEX128;

  static DType named(String numpy) {
    try {
      return valueOf(numpy.toUpperCase(java.util.Locale.ROOT));
    } catch (IllegalArgumentException error) {
      throw ErrorCode.PROTOCOL.exception("pixels are of the type " + numpy + ", which this client does not know", "", error);
    }
  }

  /** Numbers per pixel. */
  int parts() {
    return this == COMPLEX64 || this == COMPLEX128 ? 2 : 1;
  }

  /** Bytes of a number. */
  int width() {
    return switch (this) {
      case UINT8, INT8 -> 1;
      case UINT16, INT16, FLOAT16 -> 2;
      case UINT32, INT32, FLOAT32, COMPLEX64 -> 4;
      case UINT64, INT64, FLOAT64, COMPLEX128 -> 8;
    };
  }

  @Override
  public String toString() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
