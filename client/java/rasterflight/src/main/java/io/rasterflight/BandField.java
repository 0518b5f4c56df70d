package io.rasterflight;

import java.util.List;
import java.util.Map;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * What is known about a band of a read, from the metadata of its column. Facts in which the records differ are left out.
 *
 * @param name of the column
 * @param dtype type of the pixels
 * @param nodata as the file declares it ({@code "0"}, {@code "nan"}); null: there is none, or the records differ
 * @param nodataVaries the records differ in it
 * @param scale physical value = pixel * scale + offset; null also where pixels are physical values already
 * @param offset see scale
 * @param unit null: not known
 * @param description null: there is none
 */
public record BandField(
    String name,
    DType dtype,
    String nodata,
    boolean nodataVaries,
    Double scale,
    Double offset,
    String unit,
    String description) {
  private static final String PREFIX = "rasterflight:";

  /** Lists the bands of a schema of chips, in order. */
  public static List<BandField> of(Schema schema) {
    return schema.getFields().stream().filter(field -> field.getMetadata().containsKey(PREFIX + "dtype")).map(BandField::of).toList();
  }

  private static BandField of(Field column) {
    Map<String, String> facts = column.getMetadata();
    return new BandField(
        column.getName(),
        DType.named(facts.get(PREFIX + "dtype")),
        facts.get(PREFIX + "nodata"),
        facts.containsKey(PREFIX + "nodata_varies"),
        number(facts.get(PREFIX + "scale")),
        number(facts.get(PREFIX + "offset")),
        facts.get(PREFIX + "unit"),
        facts.get(PREFIX + "description"));
  }

  private static Double number(String text) {
    return text == null ? null : Double.valueOf(text);
  }
}
