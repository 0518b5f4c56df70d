package io.rasterflight.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VarBinaryVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.StructVector;

/** Digest of a column, batch by batch. */
final class ColumnDigest {
  private final MessageDigest values = sha256();
  private final MessageDigest validity = sha256();
  private final ArrayNode lengths = new ObjectMapper().createArrayNode();
  private boolean isList;
  private int leaves;
  private int nulls;

  /** Adds the rows of a batch to the digests of its columns, by name; a struct stands as its fields. */
  static void add(VectorSchemaRoot batch, Map<String, ColumnDigest> columns) {
    for (FieldVector vector : batch.getFieldVectors()) {
      if (vector instanceof StructVector struct) {
        for (FieldVector child : struct.getChildrenFromFields()) {
          String name = vector.getName() + "." + child.getName();
          ColumnDigest column = columns.computeIfAbsent(name, unused -> new ColumnDigest());
          for (int row = 0; row < batch.getRowCount(); row++) {
            column.leaf(child, row, !struct.isNull(row) && !child.isNull(row));
          }
        }
      } else {
        columns.computeIfAbsent(vector.getName(), unused -> new ColumnDigest()).rows(vector, batch.getRowCount());
      }
    }
  }

  JsonNode told() {
    ObjectNode told = new ObjectMapper().createObjectNode().put("leaves", leaves).put("nulls", nulls).put("sha256", hex(values));
    if (nulls > 0) {
      told.put("validity", hex(validity));
    }
    if (isList) {
      told.set("lengths", lengths);
    }
    return told;
  }

  private void rows(FieldVector vector, int count) {
    isList = vector instanceof ListVector || vector instanceof FixedSizeListVector;
    for (int row = 0; row < count; row++) {
      if (!isList) {
        leaf(vector, row, !vector.isNull(row));
      } else if (vector.isNull(row)) {
        lengths.addNull();
      } else {
        lengths.add(end(vector, row) - start(vector, row));
        items(vector, row);
      }
    }
  }

  private void items(FieldVector list, int row) {
    FieldVector items = list instanceof ListVector some ? some.getDataVector() : ((FixedSizeListVector) list).getDataVector();
    int start = start(list, row);
    int end = end(list, row);
    if (items instanceof ListVector || items instanceof FixedSizeListVector) {
      for (int i = start; i < end; i++) {
        if (!items.isNull(i)) {
          items(items, i);
        }
      }
    } else if (items instanceof BaseFixedWidthVector numbers && !(items instanceof BitVector) && items.getNullCount() == 0) {
      int width = numbers.getTypeWidth();
      values.update(numbers.getDataBuffer().nioBuffer((long) start * width, (end - start) * width));
      leaves += end - start;
      validity.update(filled(end - start));
    } else {
      for (int i = start; i < end; i++) {
        leaf(items, i, !items.isNull(i));
      }
    }
  }

  private void leaf(FieldVector vector, int row, boolean isValid) {
    leaves++;
    validity.update((byte) (isValid ? 1 : 0));
    if (!isValid) {
      nulls++;
    } else if (vector instanceof VarCharVector texts) {
      sized(texts.get(row));
    } else if (vector instanceof VarBinaryVector bytes) {
      sized(bytes.get(row));
    } else if (vector instanceof BitVector bits) {
      values.update((byte) bits.get(row));
    } else {
      int width = ((BaseFixedWidthVector) vector).getTypeWidth();
      values.update(vector.getDataBuffer().nioBuffer((long) row * width, width));
    }
  }

  private void sized(byte[] bytes) {
    values.update(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(0, bytes.length));
    values.update(bytes);
  }

  private static int start(FieldVector list, int row) {
    return list instanceof ListVector some ? some.getElementStartIndex(row) : row * ((FixedSizeListVector) list).getListSize();
  }

  private static int end(FieldVector list, int row) {
    return list instanceof ListVector some ? some.getElementEndIndex(row) : (row + 1) * ((FixedSizeListVector) list).getListSize();
  }

  private static byte[] filled(int count) {
    byte[] ones = new byte[count];
    Arrays.fill(ones, (byte) 1);
    return ones;
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String hex(MessageDigest digest) {
    return HexFormat.of().formatHex(digest.digest());
  }
}
