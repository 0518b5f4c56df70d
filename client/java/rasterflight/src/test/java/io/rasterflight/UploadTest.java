package io.rasterflight;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** Areas and points that go up, against a real server. */
@EnabledIfSystemProperty(named = "rasterflight.test", matches = ".+", disabledReason = "NO SERVER: run tests/integration/test_java.py")
@Timeout(60)
class UploadTest {
  private static final Filter JULY = Filter.dateRange("2018-07-01", "2018-07-31");

  private final BufferAllocator allocator = new RootAllocator();
  private RasterflightClient client;
  private RasterCollection ny;

  @BeforeEach
  void connect() throws IOException {
    String url = new ObjectMapper().readTree(new File(System.getProperty("rasterflight.test"))).required("url").asText();
    client = RasterflightClient.connect(url, ConnectOptions.defaults().allocator(allocator));
    ny = client.collection("ny").subset(JULY);
  }

  @AfterEach
  void close() {
    client.close();
    allocator.close();
  }

  /** Some two megabytes of them. */
  static Geometries manyAreas() {
    return Geometries.bboxes(
        IntStream.range(0, 40_000)
            .mapToObj(i -> new BBox(-74.3 + 0.004 * (i % 200), 40.4 + 0.003 * (i / 200), -74.29 + 0.004 * (i % 200), 40.41 + 0.003 * (i / 200)))
            .toList());
  }

  private static List<String> chips(ReadStream stream) {
    return stream.chips().stream()
        .map(chip -> chip.geometryId() + " " + Arrays.hashCode(chip.pixels("red").shorts()) + " " + chip.transform())
        .toList();
  }

  private long counter(String name) throws IOException {
    return new ObjectMapper().readTree(client.action("stats", new byte[0])).required(name).asLong();
  }

  @Test
  void largeAreasGoUpByThemselves() throws IOException {
    List<String> planned;
    try (ReadStream stream = client.read(ny.plan(Request.of("red").geometries(manyAreas())))) {
      assertEquals(0, counter("uploads"));
      planned = chips(stream);
    }
    try (ReadStream stream = ny.read(Request.of("red").geometries(manyAreas()))) {
      assertEquals(1, counter("uploads"));
      assertTrue(stream.plan().endpoints().get(0).ticket().length < 1000);
      assertEquals(planned, chips(stream));
    }
    assertEquals(0, counter("uploads"));
    assertTrue(planned.size() > 10_000);
  }

  @Test
  void areasThatAreSentOnce() throws IOException {
    Request request;
    try (UploadedAreas areas = client.upload(manyAreas())) {
      assertEquals(40_000, areas.geometries().size());
      assertFalse(areas.id().isEmpty());
      request = Request.of("red").geometries(areas.geometries()).geometryIds(20_000);
      for (int i = 0; i < 2; i++) {
        try (ReadStream stream = ny.read(request)) {
          assertEquals(1, chips(stream).size());
        }
      }
      assertEquals(
          "these areas have been sent up already",
          assertThrows(BadRequestException.class, () -> client.upload(areas.geometries())).reason());
    }
    assertEquals(ErrorCode.UPLOAD_NOT_FOUND, assertThrows(NotFoundException.class, () -> ny.plan(request)).code());
    assertEquals(0, counter("uploads"));
  }

  @Test
  void areasThatCannotBeSent() {
    BadRequestException crossing =
        assertThrows(BadRequestException.class, () -> client.upload(Geometries.bboxes(new BBox(170, 0, -170, 1))));
    assertEquals("a box with minx > maxx goes with the request; it cannot be sent up", crossing.reason());
    byte[] damaged = new byte[2 << 20];
    BadRequestException large =
        assertThrows(BadRequestException.class, () -> ny.read(Request.of("red").geometries(Geometries.wkb(damaged))));
    assertEquals(List.of(ErrorCode.BAD_GEOMETRY, "geometries.wkb[0]"), List.of(large.code(), large.field()));
  }

  private static Points points(int from, int to) {
    double[] x = IntStream.range(from, to).mapToDouble(i -> -74.2 + 0.004 * (i % 100)).toArray();
    double[] y = IntStream.range(from, to).mapToDouble(i -> 40.5 + 0.004 * (i / 100 % 100)).toArray();
    return Points.of(x, y);
  }

  @Test
  void samplesOfPointsThatGoUp() {
    List<Sample> expected = ny.samplePoints(points(0, 5000), "red", "nir08");
    List<Points> sets = IntStream.range(0, 10).mapToObj(i -> points(i * 500, i * 500 + 500)).toList();
    List<Sample> found = new ArrayList<>();
    try (SampleStream samples = ny.sampleEach(sets, Request.of("red", "nir08"))) {
      samples.forEachRemaining(found::add);
    }
    // set by set, and each by band
    assertEquals(expected.size(), found.size());
    assertEquals(expected.stream().map(UploadTest::text).sorted().toList(), found.stream().map(UploadTest::text).sorted().toList());
  }

  private static String text(Sample sample) {
    return sample.pointIndex() + sample.band() + sample.value() + sample.recordId();
  }

  @Test
  void largeSetsOfPointsAreCut() {
    // 51 points look at as many pixels as a set may
    try (SampleStream samples = ny.sampleEach(List.of(points(0, 130).maxDistancePixels(100)), Request.of("red"))) {
      List<Long> indexes = new ArrayList<>();
      samples.forEachRemaining(sample -> indexes.add(sample.pointIndex()));
      assertEquals(indexes.stream().sorted().toList(), indexes);
      assertEquals(129, indexes.get(indexes.size() - 1));
    }
  }

  @Test
  void anExchangeThatIsClosedEndsOnTheServer() throws IOException {
    Iterable<Points> endless = () -> Stream.generate(() -> points(0, 1000)).iterator();
    try (SampleStream samples = ny.sampleEach(endless, Request.of("red"))) {
      for (int i = 0; i < 5000; i++) {
        samples.next();
      }
      assertEquals(1, counter("streams"));
    }
    long end = System.nanoTime() + 5_000_000_000L;
    while (counter("streams") > 0 && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
    assertEquals(0, counter("streams"));
  }

  @Test
  void pointsThatFail() {
    Iterator<Points> failing =
        new Iterator<>() {
          private int taken;

          @Override
          public boolean hasNext() {
            return true;
          }

          @Override
          public Points next() {
            if (taken++ == 2) {
              throw new IllegalStateException("the disk is full");
            }
            return points(0, 100);
          }
        };
    try (SampleStream samples = ny.sampleEach(() -> failing, Request.of("red"))) {
      assertEquals("the disk is full", assertThrows(IllegalStateException.class, () -> samples.forEachRemaining(sample -> {})).getMessage());
    }
    try (SampleStream samples = ny.sampleEach(List.of(points(0, 9), points(0, 9).in("EPSG:4326")), Request.of("red"))) {
      BadRequestException mixed = assertThrows(BadRequestException.class, () -> samples.forEachRemaining(sample -> {}));
      assertEquals("the sets of points differ in more than their places", mixed.reason());
    }
  }

  @Test
  void exchangesThatAreRefused() {
    assertEquals(
        ErrorCode.UNKNOWN_BAND,
        assertThrows(BadRequestException.class, () -> ny.sampleEach(List.of(points(0, 9)), Request.of("rad"))).code());
    assertThrows(BadRequestException.class, () -> ny.sampleEach(List.of(), Request.of("red")));
    assertThrows(BadRequestException.class, () -> ny.sampleEach(List.of(points(0, 9)), Request.of("red").bbox(0, 0, 1, 1)));
  }
}
