package io.rasterflight;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.InvalidProtocolBufferException;
import io.rasterflight.ChipRows.Block;
import io.rasterflight.v1.ErrorDetail;
import io.rasterflight.v1.ReadRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Reads from a server in this process; the allocator fails where memory is left behind. */
@Timeout(30)
class StreamTest {
  private static final Schema SCHEMA = ChipRows.schema(false, true, "red", "nir");
  private static final byte[] TICKET = "{}".getBytes();

  private final BufferAllocator allocator = new RootAllocator();
  private FakeServer server;

  @BeforeEach
  void start() throws Exception {
    server = new FakeServer(ChipRows.batch(SCHEMA));
    server.tickets.add("a");
  }

  @AfterEach
  void stop() {
    server.close();
    allocator.close();
  }

  private RasterflightClient client(ConnectOptions options) {
    return RasterflightClient.connect(server.url(), options.allocator(allocator));
  }

  private RasterflightClient client() {
    return client(ConnectOptions.defaults());
  }

  private static Block chip(String record, Integer... red) {
    return Block.of(record, 1, red.length, 0, Map.of("red", List.of(red)));
  }

  @Test
  void blocksBecomeChips() {
    server.stream =
        sender -> {
          sender.send(
              ChipRows.batch(
                  SCHEMA,
                  Block.of("r1", 3, 2, 0, Map.of("red", List.of(1, 2, 3, 4))),
                  // bands on another grid may come in between
                  Block.of("r1", 1, 1, 0, Map.of("nir", List.of(9)))));
          sender.send(ChipRows.batch(SCHEMA, Block.of("r1", 3, 2, 2, Map.of("red", List.of(5, 60_000)))));
        };
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      List<Chip> chips = stream.chips().toList();
      assertEquals(List.of(List.of("nir"), List.of("red")), chips.stream().map(chip -> List.copyOf(chip.bands().keySet())).toList());
      Chip red = chips.get(1);
      assertEquals(List.of("r1", 3, 2, 1L), List.of(red.recordId(), red.height(), red.width(), red.geometryId()));
      assertArrayEquals(new short[] {1, 2, 3, 4, 5, (short) 60_000}, red.pixels("red").shorts());
      assertEquals(60_000, red.pixels("red").get(2, 1));
      assertEquals(new Affine(30, 0, 500, 0, -30, 900), red.transform());
      assertNull(red.cloudCover());
      assertEquals(1_500, red.datetime().toEpochMilli());
      assertEquals(10, stream.bytesReceived());
      BadRequestException error = assertThrows(BadRequestException.class, () -> red.pixels("nir"));
      assertEquals("the chip has no band 'nir', only red", error.getMessage());
    }
  }

  @Test
  void aRecordThatFailsIsLeftOutWhole() {
    server.stream =
        sender ->
            sender.send(
                ChipRows.batch(
                    SCHEMA,
                    chip("r1", 1),
                    Block.of("r2", 9, 1, 0, Map.of("red", List.of(1))),
                    chip("r2", 2),
                    Block.failed("r2"),
                    chip("r3", 3)));
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      assertEquals(List.of("r1", "r3"), stream.chips().stream().map(Chip::recordId).toList());
      assertEquals(List.of(new SkippedRecord("r2", "the file is gone")), stream.skipped());
    }
  }

  @Test
  void aStreamThatEndsInsideAChip() {
    server.stream = sender -> sender.send(ChipRows.batch(SCHEMA, Block.of("r1", 9, 1, 0, Map.of("red", List.of(1)))));
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      ProtocolException error = assertThrows(ProtocolException.class, () -> stream.chips().toList());
      assertEquals("the stream ended inside a chip of r1", error.getMessage());
    }
  }

  @Test
  void aBlockThatDoesNotFit() {
    server.stream = sender -> sender.send(ChipRows.batch(SCHEMA, Block.of("r1", 1, 1, 1, Map.of("red", List.of(1)))));
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      ProtocolException error = assertThrows(ProtocolException.class, () -> stream.chips().toList());
      assertEquals("a block of r1 does not fit its chip", error.getMessage());
    }
  }

  @Test
  void endpointsComeInOrderSomeAtATime() {
    server.tickets.addAll(List.of("b", "c", "d", "e"));
    server.stream =
        sender -> {
          for (int i = 0; i < 3; i++) {
            sender.send(ChipRows.batch(SCHEMA, chip(sender.ticket + i, i + 1)));
          }
        };
    try (RasterflightClient client = client(ConnectOptions.defaults().maxConcurrent(2));
        ReadStream stream = client.read(TICKET)) {
      List<String> records = stream.chips().stream().map(Chip::recordId).toList();
      assertEquals(List.of("a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2", "d0", "d1", "d2", "e0", "e1", "e2"), records);
      assertEquals(50, stream.bytesReceived());
    }
  }

  @Test
  void noMoreStreamsThanAllowed() {
    server.tickets.addAll(List.of("b", "c"));
    server.stream =
        sender -> {
          sender.send(ChipRows.batch(SCHEMA, chip(sender.ticket, 1)));
          sender.waitForCancel();
        };
    try (RasterflightClient client = client(ConnectOptions.defaults().maxConcurrent(2));
        ReadStream stream = client.read(TICKET)) {
      assertTrue(stream.next());
      waitUntil(() -> server.asked.contains("b"));
      assertFalse(server.asked.contains("c"));
    }
  }

  @Test
  void theReaderOfArrow() throws Exception {
    server.stream =
        sender -> {
          sender.send(ChipRows.batch(SCHEMA, chip("r1", 1), chip("r2", 2)));
          sender.send(ChipRows.batch(SCHEMA, chip("r3", 3)));
        };
    try (RasterflightClient client = client();
        ArrowReader reader = client.read(TICKET).reader()) {
      assertEquals(SCHEMA, reader.getVectorSchemaRoot().getSchema());
      assertTrue(reader.loadNextBatch());
      assertEquals("r2", reader.getVectorSchemaRoot().getVector("record_id").getObject(1).toString());
      assertTrue(reader.loadNextBatch());
      assertEquals("r3", reader.getVectorSchemaRoot().getVector("record_id").getObject(0).toString());
      assertFalse(reader.loadNextBatch());
    }
  }

  @Test
  void masksTellInvalidPixels() throws Exception {
    server.close();
    Schema masked = ChipRows.schema(true, false, "red");
    server = new FakeServer(ChipRows.batch(masked));
    server.tickets.add("a");
    server.stream =
        sender ->
            sender.send(
                ChipRows.batch(
                    masked, chip("r0", 8), Block.of("r1", 1, 3, 0, Map.of("red", Arrays.asList(0, null, 7)))));
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      List<Chip> chips = stream.chips().toList();
      assertArrayEquals(new boolean[] {false}, chips.get(0).pixels("red").mask());
      Pixels red = chips.get(1).pixels("red");
      assertArrayEquals(new boolean[] {false, true, false}, red.mask());
      // by the mask alone: nodata is 0
      assertArrayEquals(new double[] {0, Double.NaN, 7}, red.toDoubles());
    }
  }

  @Test
  void rowsThatNobodyCanTakeUpAreNotTriedAgain() {
    server.stream =
        sender -> {
          // of a record that may fail, nothing is given before the next one begins
          sender.send(ChipRows.batch(SCHEMA, chip("r1", 1), chip("r2", 2)));
          throw FakeServer.exception(FakeServer.error("BUSY", true));
        };
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      Iterator<Chip> chips = stream.chips().iterator();
      chips.next();
      assertThrows(ServerUnavailableException.class, chips::next);
      assertEquals(1, server.asked.stream().filter("a"::equals).count());
      assertFalse(stream.next());
    }
  }

  /** A ticket of letters alone, as the list of tickets has them. */
  private static String ticket(String collection) {
    return new String(Request.ticket(ReadRequest.newBuilder().setCollection(collection).build()), StandardCharsets.UTF_8);
  }

  @Test
  void aStreamGoesOnWhereItBrokeOff() {
    server.tickets.clear();
    server.tickets.addAll(List.of(ticket("a"), ticket("b")));
    server.stream =
        sender -> {
          for (long i = sender.start(); i < 4; i++) {
            sender.send(ChipRows.batch(SCHEMA, chip(name(sender) + i, (int) i + 1)), i + 1);
            if (i % 2 == 0) {
              throw FakeServer.exception(FakeServer.error(i == 0 ? "DRAINING" : "BUSY", true));
            }
          }
        };
    try (RasterflightClient client = client();
        ReadStream stream = client.read(TICKET)) {
      List<String> records = stream.chips().stream().map(Chip::recordId).toList();
      assertEquals(List.of("a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"), records);
      assertEquals(8, stream.bytesReceived());
      assertEquals(6, server.asked.size() - 2);
    }
  }

  private static String name(FakeServer.Sender sender) {
    try {
      return Request.parse(sender.ticket.getBytes(StandardCharsets.UTF_8)).getCollection();
    } catch (InvalidProtocolBufferException error) {
      throw new AssertionError(error);
    }
  }

  @Test
  void nobodyWaitsForAServerToComeBackAfterTheEnd() throws Exception {
    server.tickets.set(0, ticket("a"));
    server.stream =
        sender -> {
          if (sender.start() == 0) {
            sender.send(ChipRows.batch(SCHEMA, chip("r1", 1)), 1);
          }
          throw FakeServer.exception(FakeServer.error("BUSY", true).toBuilder().setRetryAfter(20).build());
        };
    try (RasterflightClient client = client()) {
      ReadStream stream = client.read(TICKET);
      assertTrue(stream.next());
      new Thread(() -> {
        LockSupport.parkNanos(300_000_000L);
        stream.close();
      }).start();
      long begin = System.nanoTime();
      assertThrows(CancelledException.class, stream::next);
      assertTrue(System.nanoTime() - begin < 10_000_000_000L);
    }
  }

  @Test
  void aBusyServerIsAskedAgain() {
    server.stream = sender -> sender.send(ChipRows.batch(SCHEMA, chip("r1", 1)));
    try (RasterflightClient client = client()) {
      ErrorDetail busy = FakeServer.error("BUSY", true).toBuilder().setRetryAfter(0.3).build();
      Plan plan = client.plan(TICKET);
      server.errors.add(busy);
      long before = System.nanoTime();
      try (ReadStream stream = client.read(plan)) {
        assertEquals(1, stream.chips().toList().size());
      }
      assertTrue(System.nanoTime() - before >= 300_000_000L);
      server.errors.add(busy);
      assertEquals(7, client.plan(TICKET).rows());
      assertEquals(List.of("healthcheck", "plan", "a", "a", "plan", "plan"), List.copyOf(server.asked));
    }
  }

  @Test
  void retriesCanBeSwitchedOff() {
    try (RasterflightClient client = client(ConnectOptions.defaults().retries(0))) {
      server.errors.add(FakeServer.error("BUSY", true).toBuilder().setRetryAfter(1.5).build());
      ServerUnavailableException error = assertThrows(ServerUnavailableException.class, () -> client.plan(TICKET));
      assertEquals(ErrorCode.BUSY, error.code());
      assertEquals(Duration.ofMillis(1500), error.retryAfter());
    }
  }

  @Test
  void triesAreBounded() {
    try (RasterflightClient client = client(ConnectOptions.defaults().retries(1))) {
      for (int i = 0; i < 3; i++) {
        server.errors.add(FakeServer.error("DRAINING", true));
      }
      assertThrows(ServerUnavailableException.class, () -> client.plan(TICKET));
      assertEquals(1, server.errors.size());
    }
  }

  @Test
  void noPauseIsLongerThanTheTimeout() {
    try (RasterflightClient client = client(ConnectOptions.defaults().timeout(Duration.ofSeconds(5)))) {
      server.errors.add(FakeServer.error("BUSY", true).toBuilder().setRetryAfter(60).build());
      assertThrows(ServerUnavailableException.class, () -> client.plan(TICKET));
    }
  }

  @Test
  void otherErrorsAreNotTriedAgain() {
    try (RasterflightClient client = client()) {
      server.errors.add(FakeServer.error("SOURCE_UNAVAILABLE", true));
      assertThrows(SourceException.class, () -> client.plan(TICKET));
      assertEquals(List.of("healthcheck", "plan"), List.copyOf(server.asked));
    }
  }

  @Test
  void whatTheServerSaysOfAnError() {
    try (RasterflightClient client = client()) {
      server.errors.add(
          ErrorDetail.newBuilder()
              .setCode("SOURCE_CORRUPT")
              .setMessage("tile 3 is damaged")
              .setHint("index it again")
              .setCollection("ny")
              .setRecord("r1")
              .setAsset("red")
              .setField("bands")
              .setRequestId("q7")
              .build());
      SourceException error = assertThrows(SourceException.class, () -> client.plan(TICKET));
      assertEquals(ErrorCode.SOURCE_CORRUPT, error.code());
      assertEquals("ny/r1/red: tile 3 is damaged (index it again)", error.getMessage());
      assertEquals(
          List.of("tile 3 is damaged", "index it again", "ny", "r1", "red", "bands", "q7", false, Duration.ZERO),
          List.of(error.reason(), error.hint(), error.collection(), error.record(), error.asset(), error.field(), error.requestId(),
              error.retryable(), error.retryAfter()));
      server.errors.add(FakeServer.error("NEWER_THAN_THIS", false));
      RasterflightException other = assertThrows(RasterflightException.class, () -> client.plan(TICKET));
      assertEquals(List.of(ErrorCode.OTHER, "NEWER_THAN_THIS"), List.of(other.code(), other.codeName()));
    }
  }

  @Test
  void closingCancelsOnTheServer() throws Exception {
    server.stream =
        sender -> {
          sender.send(ChipRows.batch(SCHEMA, chip("r1", 1)));
          sender.waitForCancel();
        };
    try (RasterflightClient client = client()) {
      try (ReadStream stream = client.read(TICKET)) {
        assertTrue(stream.next());
      }
      assertTrue(server.cancelled.await(5, TimeUnit.SECONDS));
    }
  }

  @Test
  void anotherThreadMayClose() throws Exception {
    server.stream = FakeServer.Sender::waitForCancel;
    try (RasterflightClient client = client()) {
      ReadStream stream = client.read(TICKET);
      Thread closing = new Thread(() -> {
        waitUntil(() -> server.asked.contains("a"));
        stream.close();
      });
      closing.start();
      assertThrows(CancelledException.class, stream::next);
      closing.join();
      assertFalse(stream.next());
    }
  }

  @Test
  void anInterruptedReaderStops() throws Exception {
    server.stream = FakeServer.Sender::waitForCancel;
    try (RasterflightClient client = client()) {
      Thread reader = Thread.currentThread();
      new Thread(() -> {
        waitUntil(() -> server.asked.contains("a"));
        reader.interrupt();
      }).start();
      try (ReadStream stream = client.read(TICKET)) {
        assertThrows(CancelledException.class, stream::next);
      }
      assertTrue(Thread.interrupted());
      assertTrue(server.cancelled.await(5, TimeUnit.SECONDS));
    }
  }

  @Test
  void theTimeoutEndsARead() throws Exception {
    server.stream = FakeServer.Sender::waitForCancel;
    try (RasterflightClient client = client(ConnectOptions.defaults().timeout(Duration.ofMillis(400)));
        ReadStream stream = client.read(TICKET)) {
      assertThrows(DeadlineException.class, stream::next);
      assertTrue(server.cancelled.await(5, TimeUnit.SECONDS));
    }
  }

  @Test
  void theTokenGoesWithEveryCall() {
    server.stream = sender -> sender.send(ChipRows.batch(SCHEMA, chip("r1", 1)));
    try (RasterflightClient client = client(ConnectOptions.defaults().token("abc"));
        ReadStream stream = client.read(TICKET)) {
      stream.chips().toList();
    }
    assertEquals(List.of("Bearer abc", "Bearer abc", "Bearer abc"), List.copyOf(server.tokens));
  }

  @Test
  void aTokenThatNoHeaderCarriesIsNotShown() {
    BadRequestException error =
        assertThrows(BadRequestException.class, () -> client(ConnectOptions.defaults().token("geheim\n")));
    assertEquals("the token is empty, or has characters that a header cannot carry", error.getMessage());
  }

  private static void waitUntil(BooleanSupplier condition) {
    long end = System.nanoTime() + 10_000_000_000L;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("waited too long");
      }
      LockSupport.parkNanos(1_000_000);
    }
  }
}
