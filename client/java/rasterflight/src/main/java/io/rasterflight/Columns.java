package io.rasterflight;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Collectors;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.TimeStampVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/** Columns of a batch, as Java has their values; null stays null. */
record Columns(VectorSchemaRoot batch) {
  /** Refuses rows of another layout. */
  static void require(Schema schema, List<String> columns, String what, String hint) {
    Set<String> there = schema.getFields().stream().map(Field::getName).collect(Collectors.toSet());
    if (!there.containsAll(columns)) {
      throw ErrorCode.UNSUPPORTED_LAYOUT.exception("these rows are not " + what, hint, null);
    }
  }

  boolean has(String name) {
    return batch.getVector(name) != null;
  }

  String text(String name, int row) {
    return get(name, row, (vector, i) -> Objects.toString(vector.getObject(i)));
  }

  Long whole(String name, int row) {
    return get(name, row, (vector, i) -> ((Number) vector.getObject(i)).longValue());
  }

  Double number(String name, int row) {
    return get(name, row, (vector, i) -> ((Number) vector.getObject(i)).doubleValue());
  }

  Instant time(String name, int row) {
    return get(name, row, (vector, i) -> Instant.EPOCH.plus(((TimeStampVector) vector).get(i), ChronoUnit.MICROS));
  }

  Affine affine(String name, int row) {
    return get(
        name,
        row,
        (vector, i) -> {
          Float8Vector v = (Float8Vector) ((FixedSizeListVector) vector).getDataVector();
          int at = 6 * i;
          return new Affine(v.get(at), v.get(at + 1), v.get(at + 2), v.get(at + 3), v.get(at + 4), v.get(at + 5));
        });
  }

  private <T> T get(String name, int row, BiFunction<FieldVector, Integer, T> read) {
    FieldVector vector = batch.getVector(name);
    return vector.isNull(row) ? null : read.apply(vector, row);
  }
}
