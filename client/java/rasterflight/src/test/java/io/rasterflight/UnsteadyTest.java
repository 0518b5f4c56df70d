package io.rasterflight;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** Servers that are lost, and found again; tests/integration/test_java.py starts them. */
@EnabledIfSystemProperty(named = "rasterflight.test", matches = ".+", disabledReason = "NO SERVER: run tests/integration/test_java.py")
@Timeout(120)
class UnsteadyTest {
  private final BufferAllocator allocator = new RootAllocator();

  @AfterEach
  void close() {
    allocator.close();
  }

  private RasterflightClient client(String server) throws IOException {
    String url = new ObjectMapper().readTree(new File(System.getProperty("rasterflight.test"))).required(server).asText();
    return RasterflightClient.connect(url, ConnectOptions.defaults().allocator(allocator).retries(9));
  }

  private static Request whole() {
    return Request.of("B1", "B2").batchBytes(1 << 18);
  }

  private static String row(Chip chip) {
    return chip.recordId() + chip.bands().keySet() + Arrays.hashCode(chip.pixels(chip.bands().keySet().iterator().next()).shorts());
  }

  private List<String> expected() throws IOException {
    try (RasterflightClient client = client("url");
        ReadStream stream = client.collection("made").read(whole())) {
      return stream.chips().stream().map(UnsteadyTest::row).toList();
    }
  }

  /** Each connection is cut after some megabytes. */
  @Test
  void readsOverConnectionsThatAreCut() throws IOException {
    try (RasterflightClient client = client("cut");
        ReadStream stream = client.collection("made").read(whole())) {
      assertEquals(expected(), stream.chips().stream().map(UnsteadyTest::row).toList());
      assertEquals(stream.plan().bytesToReceive(), stream.bytesReceived());
      assertEquals(stream.bytesTotal(), stream.bytesReceived());
    }
  }

  @Test
  void withoutTriesALossIsTold() throws IOException {
    String url = new ObjectMapper().readTree(new File(System.getProperty("rasterflight.test"))).required("cut").asText();
    try (RasterflightClient client = RasterflightClient.connect(url, ConnectOptions.defaults().allocator(allocator).retries(0));
        ReadStream stream = client.collection("made").read(whole())) {
      ServerUnavailableException lost = assertThrows(ServerUnavailableException.class, () -> stream.chips().toList());
      assertTrue(lost.reason().startsWith("the connection to " + url + " was lost"), lost.reason());
    }
  }

  /** Reads all rows; after the first the process that sends them is killed, and what went up is forgotten. */
  private long rowsOfAKilledWorker(Request request) throws IOException {
    try (RasterflightClient client = client("workers");
        ReadStream stream = client.collection("made").read(request)) {
      assertTrue(stream.next());
      long rows = stream.batch().getRowCount();
      String upload = Request.parse(stream.plan().endpoints().get(0).ticket()).getGeometries().getUpload();
      if (!upload.isEmpty()) {
        client.action("upload.drop", upload.getBytes(StandardCharsets.UTF_8));
      }
      long pid = new ObjectMapper().readTree(client.action("stats", new byte[0])).required("process").asLong();
      assertTrue(ProcessHandle.of(pid).orElseThrow().destroyForcibly());
      while (stream.next()) {
        rows += stream.batch().getRowCount();
      }
      assertEquals(stream.plan().bytesToReceive(), stream.bytesReceived());
      assertEquals(stream.plan().rows(), rows);
      return rows;
    }
  }

  @Test
  void readsGoOnWhenAWorkerIsKilled() throws IOException {
    assertTrue(rowsOfAKilledWorker(whole()) > 10);
  }

  @Test
  void areasThatAreNotThereAnyMoreGoWithTheTicket() throws IOException {
    List<BBox> boxes =
        IntStream.range(0, 30_000)
            .mapToObj(i -> new BBox(500_000 + 100 * (i % 200), 5_690_000 - 50 * (i / 200), 500_300 + 100 * (i % 200), 5_690_300 - 50 * (i / 200)))
            .toList();
    Request request = Request.of("B1").geometries(Geometries.bboxes(boxes).in("EPSG:32631")).batchBytes(1 << 17);
    assertEquals(30_000, rowsOfAKilledWorker(request));
  }
}
