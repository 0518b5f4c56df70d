package io.rasterflight;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What a server tells of a collection.
 *
 * @param name of the collection
 * @param snapshot version of the index
 * @param records number of them
 * @param bands in the order of the collection
 * @param crs names of the CRS of the rasters, and how many records have each, the most frequent first
 * @param extent in lon/lat; null: no record has a footprint
 * @param start time of the first record; null: not known
 * @param end time of the last record; null: not known
 * @param months {@code "2018-04"} to records of the month
 * @param title null: there is none, as for the next three
 */
public record About(
    String name,
    String snapshot,
    long records,
    List<Band> bands,
    Map<String, Long> crs,
    BBox extent,
    Instant start,
    Instant end,
    Map<String, Long> months,
    String title,
    String description,
    String license,
    String attribution) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static About parse(byte[] json, String url) {
    try {
      return read(JSON.readTree(json));
    } catch (IOException | RuntimeException error) {
      throw Failures.protocol(url, "it does not tell of a collection", error);
    }
  }

  private static About read(JsonNode told) {
    JsonNode time = told.path("time");
    JsonNode box = told.path("extent");
    return new About(
        told.required("name").asText(),
        told.required("snapshot").asText(),
        told.required("records").asLong(),
        list(told.required("bands"), About::band),
        counts(told.path("crs_counts")),
        box.isArray() ? new BBox(box.get(0).asDouble(), box.get(1).asDouble(), box.get(2).asDouble(), box.get(3).asDouble()) : null,
        instant(time.path(0)),
        instant(time.path(1)),
        counts(told.path("months")),
        text(told.path("title")),
        text(told.path("description")),
        text(told.path("license")),
        text(told.path("attribution")));
  }

  private static Band band(JsonNode told) {
    return new Band(
        told.required("name").asText(),
        DType.named(told.required("dtype").asText()),
        list(told.path("aliases"), JsonNode::asText),
        text(told.path("nodata")),
        number(told.path("scale")),
        number(told.path("offset")),
        text(told.path("unit")),
        text(told.path("description")),
        told.path("classes").asBoolean(),
        list(told.path("resolution"), JsonNode::asDouble));
  }

  private static <T> List<T> list(JsonNode told, Function<JsonNode, T> read) {
    List<T> items = new ArrayList<>();
    told.forEach(item -> items.add(read.apply(item)));
    return List.copyOf(items);
  }

  private static Map<String, Long> counts(JsonNode told) {
    Map<String, Long> counts = new LinkedHashMap<>();
    told.properties().forEach(entry -> counts.put(entry.getKey(), entry.getValue().asLong()));
    return counts;
  }

  private static String text(JsonNode told) {
    return told.isTextual() ? told.asText() : null;
  }

  private static Double number(JsonNode told) {
    return told.isNumber() ? told.asDouble() : null;
  }

  private static Instant instant(JsonNode told) {
    return told.isTextual() ? OffsetDateTime.parse(told.asText()).toInstant() : null;
  }
}
