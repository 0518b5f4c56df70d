package io.rasterflight.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Locale;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/** Schemas as the vectors state them. */
final class SchemaText {
  private static final ObjectMapper JSON = new ObjectMapper();

  private SchemaText() {}

  static JsonNode of(Schema schema) {
    ArrayNode columns = JSON.createArrayNode();
    for (Field field : schema.getFields()) {
      ObjectNode column = columns.addObject().put("name", field.getName()).put("type", type(field)).put("nullable", field.isNullable());
      ObjectNode metadata = column.putObject("metadata");
      new TreeMap<>(field.getMetadata())
          .forEach(
              (key, value) -> {
                if (key.startsWith("rasterflight:") || key.equals("ARROW:extension:name")) {
                  metadata.put(key, value);
                }
              });
    }
    return columns;
  }

  private static String type(Field field) {
    ArrowType type = field.getType();
    if (type instanceof ArrowType.Int whole) {
      return (whole.getIsSigned() ? "int" : "uint") + whole.getBitWidth();
    }
    if (type instanceof ArrowType.FloatingPoint number) {
      return switch (number.getPrecision()) {
        case HALF -> "float16";
        case SINGLE -> "float32";
        case DOUBLE -> "float64";
      };
    }
    if (type instanceof ArrowType.Timestamp time) {
      String unit =
          switch (time.getUnit()) {
            case SECOND -> "s";
            case MILLISECOND -> "ms";
            case MICROSECOND -> "us";
            case NANOSECOND -> "ns";
          };
      return "timestamp[" + unit + (time.getTimezone() == null ? "" : ", " + time.getTimezone()) + "]";
    }
    if (type instanceof ArrowType.List) {
      return "list<" + item(field.getChildren().get(0)) + ">";
    }
    if (type instanceof ArrowType.FixedSizeList list) {
      return "fixed_size_list<" + item(field.getChildren().get(0)) + ">[" + list.getListSize() + "]";
    }
    if (type instanceof ArrowType.Struct) {
      return field.getChildren().stream()
          .map(child -> child.getName() + ": " + item(child))
          .collect(Collectors.joining(", ", "struct<", ">"));
    }
    return type.getTypeID().name().toLowerCase(Locale.ROOT);
  }

  private static String item(Field field) {
    return type(field) + (field.isNullable() ? "" : " not null");
  }
}
