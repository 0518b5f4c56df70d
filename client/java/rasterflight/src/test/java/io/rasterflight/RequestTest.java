package io.rasterflight;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.util.JsonFormat;
import io.rasterflight.v1.ReadRequest;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What requests become on the wire, and what is refused before anything is asked. */
class RequestTest {
  private static ReadRequest parsed(String json) throws Exception {
    ReadRequest.Builder message = ReadRequest.newBuilder();
    JsonFormat.parser().merge(json, message);
    return message.build();
  }

  @Test
  void allThatCanBeSaid() throws Exception {
    Request request =
        Request.of("red", "qa")
            .geometries(Geometries.bboxes(new BBox(1, 2, 3, 4)).in("EPSG:32618"))
            .filters(Filter.cloudCoverLt(20), Filter.dateRange("2024-01-01", null), Filter.ids("a", "b"))
            .filters(Filter.split("part", "train"), Filter.where("x = 1"), Filter.bbox(5, 6, 7, 8))
            .allTouched()
            .masked()
            .scaled()
            .targetCrs("EPSG:3857")
            .resolution(10, 20)
            .resampling(Resampling.CUBIC)
            .resampling("qa", Resampling.MODE)
            .bounds(new BBox(0, 0, 100, 100))
            .wholeAreas()
            .part(new BBox(0, 0, 50, 50))
            .skipErrors()
            .compression(Compression.ZSTD)
            .batchBytes(1000)
            .snapshot("s1");
    assertEquals(
        parsed(
            """
            {"collection": "toy", "bands": ["red", "qa"],
             "geometries": {"crs": "EPSG:32618", "bboxes": {"values": [{"minx": 1, "miny": 2, "maxx": 3, "maxy": 4}]}},
             "filters": [{"cloudCoverLt": 20}, {"dateRange": {"start": "2024-01-01"}}, {"ids": ["a", "b"]},
                         {"split": ["train"], "splitColumn": "part"}, {"where": "x = 1"},
                         {"bbox": {"minx": 5, "miny": 6, "maxx": 7, "maxy": 8}}],
             "grid": {"allTouched": true, "masked": true, "values": "VALUES_SCALED", "targetCrs": "EPSG:3857", "resolution": [10, 20],
                      "resampling": "RESAMPLING_CUBIC", "bandResampling": {"qa": "RESAMPLING_MODE"}, "common": true,
                      "bounds": {"maxx": 100, "maxy": 100}, "wholeAreas": true, "part": {"maxx": 50, "maxy": 50}},
             "onError": "ON_ERROR_SKIP", "compression": "COMPRESSION_ZSTD", "batchBytes": 1000, "snapshot": "s1"}
            """),
        request.message("toy"));
  }

  @Test
  void whatIsNotSaidIsNotThere() throws Exception {
    assertEquals(parsed("{\"collection\": \"toy\", \"bands\": [\"red\"]}"), Request.of("red").message("toy"));
  }

  @Test
  void windowsPointsAndGrids() throws Exception {
    assertEquals(
        parsed("{\"collection\": \"toy\", \"windows\": {\"values\": [{\"colOff\": 1, \"rowOff\": 2, \"width\": 3, \"height\": 4}]}}"),
        Request.of().windows(new Window(1, 2, 3, 4)).message("toy"));
    Points points = Points.of(1, 2).in("EPSG:3857").match(Match.LATEST).maxDistancePixels(3).neighbourhood(Neighbourhood.ALWAYS);
    assertEquals(
        parsed(
            """
            {"collection": "toy", "layout": "LAYOUT_POINTS", "points": {"crs": "EPSG:3857", "x": [1], "y": [2], "match": "MATCH_LATEST",
             "maxDistancePixels": 3, "neighbourhood": "NEIGHBOURHOOD_ALWAYS"}}
            """),
        Request.of().points(points).message("toy"));
    TargetGrid target = new TargetGrid("EPSG:3857", new Affine(10, 0, 5, 0, -10, 7), 20, 30);
    assertEquals(
        parsed(
            """
            {"collection": "toy", "grid": {"common": true, "grid": {"crs": "EPSG:3857", "transform": [10, 0, 5, 0, -10, 7], "width": 20,
             "height": 30}}}
            """),
        Request.of().like(target).message("toy"));
  }

  @Test
  void days() {
    assertEquals(
        Filter.dateRange("2024-01-01", "2024-01-31").message(),
        Filter.dateRange(LocalDate.of(2024, 1, 1), LocalDate.of(2024, 1, 31)).message());
    assertEquals(Filter.dateRange("1970-01-01T00:00:00Z", null).message(), Filter.dateRange(Instant.EPOCH, null).message());
  }

  @Test
  void nothingIsNotEverything() {
    assertEquals("geometries is empty", refused(() -> Geometries.wkb(List.of())).getMessage());
    assertEquals("windows is empty", refused(() -> Request.of().windows(List.of())).getMessage());
    assertEquals("ids is empty", refused(() -> Filter.ids()).getMessage());
    assertEquals("where is empty", refused(() -> Filter.where(" ")).getMessage());
    assertEquals("date_range has neither start nor end", refused(() -> Filter.dateRange((String) null, null)).getMessage());
    assertEquals(
        "there are 1 x and 0 y, expected as many, and at least one",
        refused(() -> Points.of(new double[1], new double[0])).getMessage());
    assertEquals(
        "of areas, windows and points more than one is given",
        refused(() -> Request.of("red").bbox(0, 0, 1, 1).points(Points.of(0, 0))).getMessage());
  }

  @Test
  void geoJsonBecomesWkb() {
    String polygon = "{\"type\": \"Polygon\", \"coordinates\": [[[0, 0], [1, 0], [1, 2, 9], [0, 0]]]}";
    byte[] wkb = GeoJson.areas("{\"type\": \"Feature\", \"geometry\": " + polygon + "}").get(0);
    ByteBuffer expected = ByteBuffer.allocate(77).order(ByteOrder.LITTLE_ENDIAN);
    expected.put((byte) 1).putInt(3).putInt(1).putInt(4);
    for (double number : new double[] {0, 0, 1, 0, 1, 2, 0, 0}) {
      expected.putDouble(number);
    }
    assertArrayEquals(expected.array(), wkb);
    BadRequestException line = refused(() -> Geometries.geoJson("{\"type\": \"LineString\", \"coordinates\": []}"));
    assertEquals(ErrorCode.BAD_GEOMETRY, line.code());
    assertEquals("geometry 1 is a LineString, expected Polygon or MultiPolygon", line.getMessage());
    assertEquals(
        "a coordinate is [0], expected x and y",
        refused(() -> Geometries.geoJson("{\"type\": \"Polygon\", \"coordinates\": [[[0]]]}")).getMessage());
    assertEquals(ErrorCode.BAD_GEOMETRY, refused(() -> Geometries.geoJson("{")).code());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "http://host:1|the URL has the scheme 'http', expected one of: grpc://, grpc+tcp://, grpc+tls://, grpc+unix://",
        "grpc://host|the URL 'grpc://host' lacks host or port: expected grpc://host:port",
        "grpc://me:secret@host:1|the URL carries credentials: pass them as ConnectOptions.token",
        "grpc+unix://|the URL cannot be read: Expected authority at index 12: grpc+unix://",
      })
  void wrongUrls(String url, String message) {
    assertEquals(message, refused(() -> RasterflightClient.connect(url)).getMessage());
  }

  @Test
  void wrongOptions() {
    assertThrows(IllegalArgumentException.class, () -> ConnectOptions.defaults().retries(-1));
    assertThrows(IllegalArgumentException.class, () -> ConnectOptions.defaults().maxConcurrent(0));
    assertThrows(IllegalArgumentException.class, () -> ConnectOptions.defaults().timeout(Duration.ZERO));
  }

  @Test
  void noServer() {
    ServerUnavailableException error =
        assertThrows(ServerUnavailableException.class, () -> RasterflightClient.connect("grpc://127.0.0.1:1"));
    assertEquals(ErrorCode.UNAVAILABLE, error.code());
    assertEquals("start one with `rasterflight-server serve`", error.hint());
  }

  private static BadRequestException refused(Executable call) {
    return assertThrows(BadRequestException.class, call);
  }
}
