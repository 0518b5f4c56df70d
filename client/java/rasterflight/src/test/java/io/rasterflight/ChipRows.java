package io.rasterflight;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.TimeStampMicroTZVector;
import org.apache.arrow.vector.UInt2Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/** Batches of chips, written by hand. */
final class ChipRows {
  private ChipRows() {}

  /** A block of a chip: some bands, each with its pixels; a null pixel is invalid. */
  record Block(String record, long geometry, int chipHeight, int width, int rowOff, Map<String, List<Integer>> pixels, String error) {
    static Block of(String record, int chipHeight, int width, int rowOff, Map<String, List<Integer>> pixels) {
      return new Block(record, 1, chipHeight, width, rowOff, pixels, null);
    }

    static Block failed(String record) {
      return new Block(record, 1, 1, 1, 0, Map.of(), "the file is gone");
    }
  }

  static Schema schema(boolean masked, boolean withError, String... bands) {
    List<Field> fields =
        new ArrayList<>(
            List.of(
                field("record_id", new ArrowType.Utf8()),
                field("datetime", new ArrowType.Timestamp(TimeUnit.MICROSECOND, "UTC")),
                field("cloud_cover", new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE)),
                field("collection", new ArrowType.Utf8()),
                field("geometry_id", new ArrowType.Int(64, true)),
                field("crs", new ArrowType.Utf8()),
                new Field(
                    "transform",
                    FieldType.nullable(new ArrowType.FixedSizeList(6)),
                    List.of(new Field("item", FieldType.notNullable(new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE)), null)))));
    for (String name : List.of("chip_height", "chip_width", "row_off", "height", "width")) {
      fields.add(field(name, new ArrowType.Int(32, true)));
    }
    for (String band : bands) {
      Field item = new Field("item", new FieldType(masked, new ArrowType.Int(16, false), null), null);
      FieldType list =
          new FieldType(true, new ArrowType.List(), null, Map.of("rasterflight:dtype", "uint16", "rasterflight:nodata", "0"));
      fields.add(new Field(band, list, List.of(item)));
    }
    if (withError) {
      fields.add(field("error", new ArrowType.Utf8()));
    }
    return new Schema(fields);
  }

  static Function<BufferAllocator, VectorSchemaRoot> batch(Schema schema, Block... blocks) {
    return allocator -> {
      VectorSchemaRoot root = VectorSchemaRoot.create(schema, allocator);
      root.allocateNew();
      for (int row = 0; row < blocks.length; row++) {
        write(root, row, blocks[row]);
      }
      root.setRowCount(blocks.length);
      return root;
    };
  }

  private static void write(VectorSchemaRoot root, int row, Block block) {
    text(root, "record_id", row, block.record());
    ((TimeStampMicroTZVector) root.getVector("datetime")).setSafe(row, 1_500_000);
    ((Float8Vector) root.getVector("cloud_cover")).setNull(row);
    text(root, "collection", row, "toy");
    ((BigIntVector) root.getVector("geometry_id")).setSafe(row, block.geometry());
    text(root, "crs", row, "EPSG:32618");
    FixedSizeListVector transform = (FixedSizeListVector) root.getVector("transform");
    Float8Vector numbers = (Float8Vector) transform.getDataVector();
    transform.setNotNull(row);
    double[] affine = {30, 0, 500, 0, -30, 900};
    for (int i = 0; i < affine.length; i++) {
      numbers.setSafe(6 * row + i, affine[i]);
    }
    int height = block.pixels().values().stream().findFirst().map(List::size).orElse(0) / block.width();
    whole(root, "chip_height", row, block.chipHeight());
    whole(root, "chip_width", row, block.width());
    whole(root, "row_off", row, block.rowOff());
    whole(root, "height", row, height);
    whole(root, "width", row, block.width());
    for (FieldVector vector : root.getFieldVectors()) {
      if (vector instanceof ListVector list && !(vector.getName().equals("transform"))) {
        pixels(list, row, block.pixels().get(vector.getName()));
      }
    }
    if (root.getVector("error") != null && block.error() != null) {
      text(root, "error", row, block.error());
    }
  }

  private static void pixels(ListVector list, int row, List<Integer> pixels) {
    if (pixels == null) {
      list.setNull(row);
      return;
    }
    UInt2Vector values = (UInt2Vector) list.getDataVector();
    int start = list.startNewValue(row);
    for (int i = 0; i < pixels.size(); i++) {
      Integer pixel = pixels.get(i);
      values.setSafe(start + i, pixel == null ? 0 : pixel);
      if (pixel == null) {
        values.setNull(start + i);
      }
    }
    list.endValue(row, pixels.size());
  }

  private static void text(VectorSchemaRoot root, String name, int row, String value) {
    ((VarCharVector) root.getVector(name)).setSafe(row, value.getBytes(StandardCharsets.UTF_8));
  }

  private static void whole(VectorSchemaRoot root, String name, int row, int value) {
    ((IntVector) root.getVector(name)).setSafe(row, value);
  }

  private static Field field(String name, ArrowType type) {
    return new Field(name, FieldType.nullable(type), null);
  }
}
