package io.rasterflight;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.Any;
import io.rasterflight.v1.ReadRequest;
import io.rasterflight.v1.Shard;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Against real servers, which tests/integration/test_java.py starts, and the answers of the Python client. */
@EnabledIfSystemProperty(named = "rasterflight.test", matches = ".+", disabledReason = "NO SERVER: run tests/integration/test_java.py")
@Timeout(60)
class ServerTest {
  private final BufferAllocator allocator = new RootAllocator();
  private RasterflightClient client;

  private static JsonNode facts() throws IOException {
    return new ObjectMapper().readTree(new File(System.getProperty("rasterflight.test")));
  }

  static Stream<JsonNode> cases() throws IOException {
    List<JsonNode> cases = new ArrayList<>();
    facts().required("cases").forEach(cases::add);
    return cases.stream();
  }

  @BeforeEach
  void connect() throws IOException {
    client = RasterflightClient.connect(facts().required("url").asText(), ConnectOptions.defaults().allocator(allocator));
  }

  @AfterEach
  void close() {
    client.close();
    allocator.close();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void answersAreThoseOfPython(JsonNode expected) throws Exception {
    byte[] ticket = expected.required("ticket").binaryValue();
    if (expected.has("code")) {
      RasterflightException error = assertThrows(RasterflightException.class, () -> take(ticket));
      assertEquals(
          Stream.of("code", "message", "field", "hint").map(name -> expected.required(name).asText()).toList(),
          List.of(error.codeName(), error.reason(), error.field(), error.hint()));
      assertFalse(error.requestId().isEmpty());
      return;
    }
    assertEquals(new ObjectMapper().writeValueAsString(expected.required("digests")), new ObjectMapper().writeValueAsString(take(ticket)));
  }

  private Map<String, String> take(byte[] ticket) throws NoSuchAlgorithmException {
    try (ReadStream stream = client.read(ticket)) {
      Map<String, String> digests = digests(stream);
      assertEquals(stream.plan().bytesToReceive(), stream.bytesReceived());
      return digests;
    }
  }

  /** SHA-256 of the pixels and masks of each band, and the number of chips. */
  private static Map<String, String> digests(ReadStream stream) throws NoSuchAlgorithmException {
    Map<String, MessageDigest> all = new TreeMap<>();
    int chips = 0;
    for (Chip chip : stream.chips()) {
      chips++;
      for (Map.Entry<String, Pixels> band : chip.bands().entrySet()) {
        update(all, "pixels " + band.getKey(), bytes(band.getValue()));
        boolean[] mask = band.getValue().mask();
        if (mask != null) {
          byte[] bits = new byte[mask.length];
          IntStream.range(0, mask.length).forEach(i -> bits[i] = (byte) (mask[i] ? 1 : 0));
          update(all, "masks " + band.getKey(), bits);
        }
      }
    }
    Map<String, String> told = new TreeMap<>();
    all.forEach((name, digest) -> told.put(name, HexFormat.of().formatHex(digest.digest())));
    told.put("chips", String.valueOf(chips));
    return told;
  }

  private static void update(Map<String, MessageDigest> all, String name, byte[] bytes) throws NoSuchAlgorithmException {
    if (!all.containsKey(name)) {
      all.put(name, MessageDigest.getInstance("SHA-256"));
    }
    all.get(name).update(bytes);
  }

  private static byte[] bytes(Pixels pixels) {
    int size = pixels.height() * pixels.width() * pixels.dtype().parts() * pixels.dtype().width();
    ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    switch (pixels.dtype()) {
      case UINT8, INT8 -> bytes.put(pixels.bytes());
      case UINT16, INT16, FLOAT16 -> bytes.asShortBuffer().put(pixels.shorts());
      case UINT32, INT32 -> bytes.asIntBuffer().put(pixels.ints());
      case UINT64, INT64 -> bytes.asLongBuffer().put(pixels.longs());
      case FLOAT32, COMPLEX64 -> bytes.asFloatBuffer().put(pixels.floats());
      case FLOAT64, COMPLEX128 -> bytes.asDoubleBuffer().put(pixels.doubles());
    }
    return bytes.array();
  }

  @Test
  void partsInOrderAreTheWhole() throws Exception {
    RasterCollection ny = client.collection("ny");
    ReadRequest whole = ny.message(Request.of("red", "qa"));
    Plan plan = client.plan(whole);
    List<Endpoint> parts =
        IntStream.range(0, 5)
            .mapToObj(i -> whole.toBuilder().setShard(Shard.newBuilder().setIndex(i).setCount(5)).build())
            .map(part -> new Endpoint(Request.ticket(part), List.of(), null))
            .toList();
    Plan cut =
        new Plan(
            plan.snapshot(), plan.records(), plan.chips(), plan.rows(), plan.tiles(), plan.bytesToFetch(), plan.bytesToReceive(),
            plan.crs(), plan.levels(), parts, plan.schema());
    try (ReadStream one = client.read(plan);
        ReadStream many = client.read(cut)) {
      assertEquals(digests(one), digests(many));
      assertEquals(plan.bytesToReceive(), many.bytesReceived());
    }
  }

  @Test
  void whatIsServed() {
    assertEquals(List.of("made", "ny"), client.collections().stream().map(About::name).toList());
    RasterCollection ny = client.collection("ny");
    assertEquals(List.of("blue", "green", "red", "nir08", "qa"), ny.bands().stream().map(Band::name).toList());
    assertEquals(DType.UINT16, ny.band("B4").dtype());
    assertEquals("2018-04-05T00:00:00Z", ny.about().start().toString());
    assertEquals(6, ny.about().records());
    assertEquals(Map.of("EPSG:32618", 6L), ny.about().crs());
    assertEquals("the collection has no band 'x', only blue, green, red, nir08, qa",
        assertThrows(BadRequestException.class, () -> ny.band("x")).getMessage());
    NotFoundException error = assertThrows(NotFoundException.class, () -> client.collection("nz"));
    assertEquals(ErrorCode.COLLECTION_NOT_FOUND, error.code());
  }

  @Test
  void filtersOfPartsAddUp() {
    RasterCollection late = client.collection("ny").subset(Filter.dateRange("2018-07-01", null));
    try (ReadStream all = late.records();
        ReadStream some = late.records(Filter.where("datetime < TIMESTAMP('2018-10-01T00:00:00Z')"))) {
      assertEquals(3, all.rows().toList().size());
      assertEquals(
          List.of("LC08_L1TP_013032_20180710_20180717_01_T1", "LC08_L1TP_014032_20180903_20180912_01_T1"),
          some.rows().stream().map(row -> row.get("id")).toList());
    }
  }

  @Test
  void pixelsAsRows() {
    Request request =
        Request.of("red", "nir08")
            .geometries(Geometries.bboxes(new BBox(-74.1, 40.6, -73.9, 40.8), new BBox(-74.3, 40.6, -74.1, 40.8)))
            .geometryIds(2)
            .layout(Layout.PIXELS)
            .columns("red", "geometry_id");
    RasterCollection first = client.collection("ny").subset(Filter.dateRange("2018-07-10", "2018-07-10"));
    try (ReadStream rows = first.read(request);
        ReadStream chips = first.read(Request.of("red").bbox(-74.3, 40.6, -74.1, 40.8).masked())) {
      List<Map<String, Object>> told = rows.rows().toList();
      assertEquals(List.of("red", "geometry_id"), List.copyOf(told.get(0).keySet()));
      assertTrue(told.stream().allMatch(row -> row.get("geometry_id").equals(2L)));
      Pixels red = chips.chips().iterator().next().pixels("red");
      double[] seen = DoubleStream.of(red.toDoubles()).filter(Double::isFinite).toArray();
      // unsigned pixels are whole numbers, not letters
      assertArrayEquals(
          seen, told.stream().filter(row -> row.get("red") != null).mapToDouble(row -> (Integer) row.get("red")).toArray());
      assertTrue(seen.length > 10);
    }
  }

  @Test
  void nothingToRead() {
    RasterCollection none = client.collection("ny").subset(Filter.dateRange(null, "1999-01-01"));
    assertThrows(NoDataException.class, () -> none.read(Request.of("red")));
    assertThrows(UnsupportedException.class, () -> {
      try (ReadStream records = none.records()) {
        records.chips();
      }
    });
  }

  @Test
  void aStreamThatIsClosedEndsOnTheServer() {
    try (ReadStream stream = client.collection("made").read(Request.of("B1").batchBytes(100_000))) {
      assertTrue(stream.next());
      assertEquals(1, streams());
    }
    waitForNoStream();
  }

  @Test
  void aReadOutOfTimeEndsOnTheServer() {
    Request slow = Request.of("B1").batchBytes(100_000).timeout(Duration.ofMillis(700));
    try (ReadStream stream = client.collection("made").read(slow)) {
      assertTrue(stream.next());
      assertEquals(1, streams());
      waitForNoStream();
      assertThrows(DeadlineException.class, () -> {
        while (stream.next()) {
          assertTrue(stream.batch().getRowCount() > 0);
        }
      });
    }
  }

  @Test
  void anInterruptedReadEndsOnTheServer() {
    try (ReadStream stream = client.collection("made").read(Request.of("B1").batchBytes(100_000))) {
      assertTrue(stream.next());
      Thread.currentThread().interrupt();
      assertThrows(CancelledException.class, () -> {
        while (stream.next()) {
          assertTrue(stream.batch().getRowCount() > 0);
        }
      });
      assertTrue(Thread.interrupted());
    }
    waitForNoStream();
  }

  @Test
  void aClientThatIsClosedEndsItsStreams() {
    RasterflightClient other = RasterflightClient.connect(client.url(), ConnectOptions.defaults().allocator(allocator));
    ReadStream stream = other.collection("made").read(Request.of("B1").batchBytes(100_000));
    assertTrue(stream.next());
    other.close();
    assertFalse(stream.next());
    waitForNoStream();
  }

  @Test
  void aSocketOfThisMachine() throws Exception {
    try (RasterflightClient near =
            RasterflightClient.connect(facts().required("unix").asText(), ConnectOptions.defaults().allocator(allocator));
        ReadStream here = client.collection("ny").read(Request.of("red"));
        ReadStream there = near.collection("ny").read(Request.of("red"))) {
      assertEquals(digests(here), digests(there));
    }
  }

  @Test
  void certificatesAndTokens() throws Exception {
    JsonNode tls = facts().required("tls");
    String url = tls.required("url").asText();
    byte[] root = Files.readAllBytes(Path.of(tls.required("root").asText()));
    byte[] certificate = Files.readAllBytes(Path.of(tls.required("certificate").asText()));
    byte[] key = Files.readAllBytes(Path.of(tls.required("key").asText()));
    ConnectOptions full =
        ConnectOptions.defaults().rootCertificates(root).clientCertificate(certificate, key).token(tls.required("token").asText());
    try (RasterflightClient known = RasterflightClient.connect(url, full);
        ReadStream stream = known.collection("ny").read(Request.of("red"))) {
      assertEquals(6, stream.chips().toList().size());
    }
    ConnectOptions wrongToken = ConnectOptions.defaults().rootCertificates(root).clientCertificate(certificate, key).token("wrong");
    AccessException refused =
        assertThrows(
            AccessException.class,
            () -> {
              try (RasterflightClient unknown = RasterflightClient.connect(url, wrongToken)) {
                unknown.collection("ny");
              }
            });
    assertEquals(ErrorCode.UNAUTHENTICATED, refused.code());
    assertThrows(
        ServerUnavailableException.class,
        () -> RasterflightClient.connect(url, ConnectOptions.defaults().rootCertificates(root)));
    assertThrows(
        BadRequestException.class,
        () -> RasterflightClient.connect(url, ConnectOptions.defaults().rootCertificates("no PEM".getBytes(StandardCharsets.UTF_8))));
  }

  @Test
  void ticketsInBinary() throws Exception {
    ReadRequest request = client.collection("ny").message(Request.of("red").bbox(-74.1, 40.6, -73.9, 40.8));
    assertEquals(request, Any.parseFrom(Request.ticket(request)).unpack(ReadRequest.class));
  }

  private long streams() {
    try {
      return new ObjectMapper().readTree(client.action("stats", new byte[0])).required("streams").asLong();
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private void waitForNoStream() {
    long end = System.nanoTime() + 5_000_000_000L;
    while (streams() > 0 && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
    assertEquals(0, streams());
  }
}
