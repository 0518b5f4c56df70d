package io.rasterflight;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** Polygons of GeoJSON as WKB. */
final class GeoJson {
  private static final int POLYGON = 3;
  private static final int MULTIPOLYGON = 6;
  private static final int POINT_BYTES = 16;
  // byte order and type; a number of parts
  private static final int HEAD_BYTES = 5;
  private static final int COUNT_BYTES = 4;

  private GeoJson() {}

  static List<byte[]> areas(String text) {
    List<byte[]> areas = new ArrayList<>();
    try {
      collect(new ObjectMapper().readTree(text), areas);
    } catch (JsonProcessingException error) {
      throw Failures.badGeometry("the text is no JSON: " + error.getOriginalMessage());
    }
    return areas;
  }

  private static void collect(JsonNode node, List<byte[]> areas) {
    switch (node.path("type").asText()) {
      case "FeatureCollection" -> node.path("features").forEach(feature -> collect(feature, areas));
      case "Feature" -> collect(node.path("geometry"), areas);
      case "Polygon" -> {
        ByteBuffer bytes = buffer(polygonBytes(node.path("coordinates")));
        putPolygon(bytes, node.path("coordinates"));
        areas.add(bytes.array());
      }
      case "MultiPolygon" -> areas.add(multipolygon(node.path("coordinates")));
      default -> throw Failures.badGeometry(
          "geometry " + (areas.size() + 1) + " is a " + node.path("type").asText("null") + ", expected Polygon or MultiPolygon");
    }
  }

  private static byte[] multipolygon(JsonNode polygons) {
    int size = HEAD_BYTES + COUNT_BYTES;
    for (JsonNode polygon : polygons) {
      size += polygonBytes(polygon);
    }
    ByteBuffer bytes = buffer(size);
    bytes.put((byte) 1).putInt(MULTIPOLYGON).putInt(polygons.size());
    polygons.forEach(polygon -> putPolygon(bytes, polygon));
    return bytes.array();
  }

  private static int polygonBytes(JsonNode rings) {
    int size = HEAD_BYTES + COUNT_BYTES;
    for (JsonNode ring : rings) {
      size += COUNT_BYTES + POINT_BYTES * ring.size();
    }
    return size;
  }

  private static void putPolygon(ByteBuffer bytes, JsonNode rings) {
    bytes.put((byte) 1).putInt(POLYGON).putInt(rings.size());
    for (JsonNode ring : rings) {
      bytes.putInt(ring.size());
      for (JsonNode point : ring) {
        if (!point.path(0).isNumber() || !point.path(1).isNumber()) {
          throw Failures.badGeometry("a coordinate is " + point + ", expected x and y");
        }
        bytes.putDouble(point.get(0).asDouble()).putDouble(point.get(1).asDouble());
      }
    }
  }

  private static ByteBuffer buffer(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
