package io.rasterflight;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.pojo.Schema;

/** Puts chips together from the rows of a read; of a record that failed, none is given. */
final class ChipReader implements RowReader<Chip> {
  private static final List<String> COLUMNS =
      List.of(
          "record_id", "datetime", "cloud_cover", "collection", "geometry_id", "crs", "transform", "chip_height", "chip_width",
          "row_off", "height", "width");

  private final List<BandField> bands;
  private final boolean mayFail;
  private final Map<Key, Unfinished> unfinished = new HashMap<>();
  // Chips of a record that is not through, where it may fail yet.
  private final List<Chip> waiting = new ArrayList<>();
  private String current;
  private boolean failed;

  ChipReader(Schema schema) {
    Columns.require(schema, COLUMNS, "chips", "read with the layout CHIPS");
    bands = BandField.of(schema);
    mayFail = schema.getFields().stream().anyMatch(field -> field.getName().equals("error"));
  }

  /** Bands on another grid may come in between, so a chip is known by its bands too. */
  private record Key(String record, Long geometry, List<String> bands) {}

  @Override
  public void read(VectorSchemaRoot batch, Queue<Chip> found) {
    Columns columns = new Columns(batch);
    List<PixelColumn> pixels =
        bands.stream().map(band -> new PixelColumn(band, (ListVector) batch.getVector(band.name()))).toList();
    for (int row = 0; row < batch.getRowCount(); row++) {
      String record = columns.text("record_id", row);
      if (!record.equals(current)) {
        endOfRecord(found);
        current = record;
      }
      if (mayFail && columns.text("error", row) != null) {
        failed = true;
        continue;
      }
      int place = row;
      List<PixelColumn> filled = pixels.stream().filter(column -> column.hasPixels(place)).toList();
      if (!filled.isEmpty()) {
        add(columns, row, filled, mayFail ? waiting : found);
      }
    }
  }

  @Override
  public void end(Queue<Chip> found) {
    endOfRecord(found);
    if (!unfinished.isEmpty()) {
      String record = unfinished.keySet().iterator().next().record();
      throw ErrorCode.PROTOCOL.exception("the stream ended inside a chip of " + record, "", null);
    }
  }

  private void endOfRecord(Queue<Chip> found) {
    if (failed) {
      unfinished.keySet().removeIf(key -> key.record().equals(current));
    } else {
      found.addAll(waiting);
    }
    waiting.clear();
    failed = false;
  }

  private void add(Columns columns, int row, List<PixelColumn> filled, Collection<Chip> found) {
    Key key =
        new Key(current, columns.whole("geometry_id", row), filled.stream().map(column -> column.field.name()).toList());
    Unfinished chip = unfinished.computeIfAbsent(key, unused -> new Unfinished(columns, row, filled));
    if (chip.add(columns, row, filled)) {
      unfinished.remove(key);
      found.add(chip.finished());
    }
  }

  /** A chip whose blocks are still coming. */
  private static final class Unfinished {
    private final Chip chip;
    private int missing;

    Unfinished(Columns columns, int row, List<PixelColumn> filled) {
      int height = columns.whole("chip_height", row).intValue();
      int width = columns.whole("chip_width", row).intValue();
      Map<String, Pixels> pixels = new LinkedHashMap<>();
      for (PixelColumn column : filled) {
        Object values = Pixels.array(column.field.dtype(), Math.multiplyExact(height, width));
        boolean[] mask = column.isMasked ? new boolean[height * width] : null;
        pixels.put(column.field.name(), new Pixels(column.field, height, width, values, mask));
      }
      missing = height;
      chip =
          new Chip(
              columns.text("record_id", row),
              columns.time("datetime", row),
              columns.number("cloud_cover", row),
              columns.text("collection", row),
              columns.whole("geometry_id", row),
              columns.text("crs", row),
              columns.affine("transform", row),
              height,
              width,
              Collections.unmodifiableMap(pixels));
    }

    /** Writes a block to its place; says whether it was the last. */
    boolean add(Columns columns, int row, List<PixelColumn> filled) {
      int height = columns.whole("height", row).intValue();
      int place = columns.whole("row_off", row).intValue() * chip.width();
      for (PixelColumn column : filled) {
        if (column.pixels(row) != height * chip.width() || place + column.pixels(row) > chip.height() * chip.width()) {
          throw ErrorCode.PROTOCOL.exception("a block of " + chip.recordId() + " does not fit its chip", "", null);
        }
        Pixels pixels = chip.pixels(column.field.name());
        column.copy(row, pixels.values(), place);
        if (column.isMasked) {
          column.copyMask(row, pixels.mask(), place);
        }
      }
      missing -= height;
      return missing <= 0;
    }

    Chip finished() {
      return chip;
    }
  }
}
