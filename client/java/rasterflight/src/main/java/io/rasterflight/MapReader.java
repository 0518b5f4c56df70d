package io.rasterflight;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Queue;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.TimeStampVector;
import org.apache.arrow.vector.UInt1Vector;
import org.apache.arrow.vector.UInt2Vector;
import org.apache.arrow.vector.UInt4Vector;
import org.apache.arrow.vector.UInt8Vector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.util.Text;

/** Reads rows of any layout, column by column. */
final class MapReader implements RowReader<Map<String, Object>> {
  @Override
  public void read(VectorSchemaRoot batch, Queue<Map<String, Object>> found) {
    for (int row = 0; row < batch.getRowCount(); row++) {
      Map<String, Object> values = new LinkedHashMap<>();
      for (FieldVector vector : batch.getFieldVectors()) {
        values.put(vector.getName(), value(vector, row));
      }
      found.add(Collections.unmodifiableMap(values));
    }
  }

  private static Object value(FieldVector vector, int row) {
    if (vector.isNull(row)) {
      return null;
    }
    if (vector instanceof TimeStampVector times) {
      ChronoUnit unit =
          switch (((ArrowType.Timestamp) vector.getField().getType()).getUnit()) {
            case SECOND -> ChronoUnit.SECONDS;
            case MILLISECOND -> ChronoUnit.MILLIS;
            case MICROSECOND -> ChronoUnit.MICROS;
            case NANOSECOND -> ChronoUnit.NANOS;
          };
      return Instant.EPOCH.plus(times.get(row), unit);
    }
    // Arrow gives unsigned numbers as signed ones, and 16 bits as a letter
    if (vector instanceof UInt1Vector bytes) {
      return Byte.toUnsignedInt(bytes.get(row));
    }
    if (vector instanceof UInt2Vector shorts) {
      return (int) shorts.get(row);
    }
    if (vector instanceof UInt4Vector ints) {
      return ints.getObjectNoOverflow(row);
    }
    if (vector instanceof UInt8Vector longs) {
      return longs.getObjectNoOverflow(row);
    }
    Object value = vector.getObject(row);
    return value instanceof Text text ? text.toString() : value;
  }
}
