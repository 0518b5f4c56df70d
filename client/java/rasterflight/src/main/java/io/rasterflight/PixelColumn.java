package io.rasterflight;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.vector.BitVectorHelper;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.ListVector;

/** A band's column of a batch of chips. */
final class PixelColumn {
  final BandField field;
  final boolean isMasked;
  private final ListVector lists;
  private final FieldVector items;
  private final ArrowBuf numbers;

  PixelColumn(BandField field, ListVector lists) {
    this.field = field;
    this.lists = lists;
    items = lists.getDataVector();
    isMasked = items.getField().isNullable();
    FieldVector values = items instanceof FixedSizeListVector pairs ? pairs.getDataVector() : items;
    numbers = values.getDataBuffer();
  }

  boolean hasPixels(int row) {
    return !lists.isNull(row);
  }

  int pixels(int row) {
    return lists.getElementEndIndex(row) - lists.getElementStartIndex(row);
  }

  /** Copies the pixels of a row into an array, from a place on. */
  void copy(int row, Object array, int place) {
    DType dtype = field.dtype();
    int count = pixels(row) * dtype.parts();
    int to = place * dtype.parts();
    long from = (long) lists.getElementStartIndex(row) * dtype.parts() * dtype.width();
    ByteBuffer bytes = numbers.nioBuffer(from, count * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
    switch (dtype) {
      case UINT8, INT8 -> bytes.get((byte[]) array, to, count);
      case UINT16, INT16, FLOAT16 -> bytes.asShortBuffer().get((short[]) array, to, count);
      case UINT32, INT32 -> bytes.asIntBuffer().get((int[]) array, to, count);
      case UINT64, INT64 -> bytes.asLongBuffer().get((long[]) array, to, count);
      case FLOAT32, COMPLEX64 -> bytes.asFloatBuffer().get((float[]) array, to, count);
      case FLOAT64, COMPLEX128 -> bytes.asDoubleBuffer().get((double[]) array, to, count);
    }
  }

  /** Says which pixels of a row are invalid. */
  void copyMask(int row, boolean[] mask, int place) {
    if (items.getNullCount() == 0) {
      return;
    }
    ArrowBuf valid = items.getValidityBuffer();
    int start = lists.getElementStartIndex(row);
    int count = pixels(row);
    for (int i = 0; i < count; i++) {
      mask[place + i] = BitVectorHelper.get(valid, start + i) == 0;
    }
  }
}
