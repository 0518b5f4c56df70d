package io.rasterflight;

import java.util.List;
import java.util.Queue;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.pojo.Schema;

/** Reads the rows of the layout POINTS. */
final class SampleReader implements RowReader<Sample> {
  private static final List<String> COLUMNS =
      List.of(
          "point_index", "point_x", "point_y", "point_crs", "record_id", "datetime", "collection", "band", "value", "raster_crs");

  SampleReader(Schema schema) {
    Columns.require(schema, COLUMNS, "points", "read with Request.points");
  }

  @Override
  public void read(VectorSchemaRoot batch, Queue<Sample> found) {
    Columns columns = new Columns(batch);
    for (int row = 0; row < batch.getRowCount(); row++) {
      if (columns.has("error") && columns.text("error", row) != null) {
        continue;
      }
      Double value = columns.number("value", row);
      found.add(
          new Sample(
              columns.whole("point_index", row),
              columns.number("point_x", row),
              columns.number("point_y", row),
              code(columns.whole("point_crs", row)),
              columns.text("record_id", row),
              columns.time("datetime", row),
              columns.text("collection", row),
              columns.text("band", row),
              value == null ? Double.NaN : value,
              code(columns.whole("raster_crs", row)),
              columns.has("neighbourhood_values") ? around(batch, row) : null));
    }
  }

  private static Integer code(Long epsg) {
    return epsg == null ? null : epsg.intValue();
  }

  private static double[] around(VectorSchemaRoot batch, int row) {
    ListVector lists = (ListVector) batch.getVector("neighbourhood_values");
    if (lists.isNull(row)) {
      return null;
    }
    Float8Vector numbers = (Float8Vector) lists.getDataVector();
    int start = lists.getElementStartIndex(row);
    double[] around = new double[lists.getElementEndIndex(row) - start];
    for (int i = 0; i < around.length; i++) {
      around[i] = numbers.isNull(start + i) ? Double.NaN : numbers.get(start + i);
    }
    return around;
  }
}
