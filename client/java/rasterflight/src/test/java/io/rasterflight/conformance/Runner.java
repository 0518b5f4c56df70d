package io.rasterflight.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.protobuf.Any;
import com.google.protobuf.util.JsonFormat;
import io.rasterflight.ConnectOptions;
import io.rasterflight.Endpoint;
import io.rasterflight.Geometries;
import io.rasterflight.Plan;
import io.rasterflight.RasterflightClient;
import io.rasterflight.RasterflightException;
import io.rasterflight.ReadStream;
import io.rasterflight.Request;
import io.rasterflight.v1.ErrorDetail;
import io.rasterflight.v1.Progress;
import io.rasterflight.v1.ReadRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.types.pojo.Schema;

/** Plays cases against one server. */
final class Runner implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final RasterflightClient client;
  private final RawCalls raw;

  Runner(String url, BufferAllocator allocator) {
    client = RasterflightClient.connect(url, ConnectOptions.defaults().allocator(allocator).retries(0));
    raw = new RawCalls(url, allocator);
  }

  /** Why a case is not ok; empty: it is. */
  String whyNot(JsonNode one) throws Exception {
    List<String> whys = new ArrayList<>();
    Duration timeout = one.has("timeout") ? Duration.ofNanos((long) (one.get("timeout").asDouble() * 1e9)) : null;
    for (Map.Entry<String, byte[]> ticket : tickets(one).entrySet()) {
      for (String way : ways(one)) {
        JsonNode found = outcome(one, ticket.getValue(), way, timeout);
        List<String> differences = new ArrayList<>();
        new Differences(differences).of(one.required("expected"), way, found);
        differences.forEach(why -> whys.add(ticket.getKey() + " " + way + ": " + why));
      }
    }
    return String.join("; ", whys);
  }

  private static List<String> ways(JsonNode one) {
    if (one.has("exchange")) {
      return List.of("exchange");
    }
    return switch (one.path("only").asText()) {
      case "GetFlightInfo" -> List.of("endpoints");
      case "DoGet" -> List.of("ticket");
      default -> List.of("endpoints", "ticket");
    };
  }

  private Map<String, byte[]> tickets(JsonNode one) throws Exception {
    byte[] binary = one.has("ticket_base64") ? one.get("ticket_base64").binaryValue() : null;
    if (!one.has("ticket")) {
      return Map.of("bytes", binary);
    }
    String text = one.get("ticket").toString();
    if (one.has("upload")) {
      List<byte[]> areas = new ArrayList<>();
      for (JsonNode area : one.get("upload")) {
        areas.add(area.binaryValue());
      }
      text = text.replace("{upload}", client.upload(Geometries.wkb(areas)).id());
    }
    if (text.contains("{snapshot}")) {
      text = text.replace("{snapshot}", snapshots().required(one.at("/ticket/collection").asText()).asText());
    }
    ReadRequest.Builder message = ReadRequest.newBuilder();
    JsonFormat.parser().merge(text, message);
    if (binary != null && !Any.parseFrom(binary).unpack(ReadRequest.class).equals(message.build())) {
      throw new IllegalStateException("ticket_base64 holds another request than ticket");
    }
    Map<String, byte[]> tickets = new LinkedHashMap<>();
    tickets.put("json", text.getBytes(StandardCharsets.UTF_8));
    tickets.put("binary", binary != null ? binary : Request.ticket(message.build()));
    return tickets;
  }

  private JsonNode snapshots() throws Exception {
    return JSON.readTree(client.healthcheck()).required("collections");
  }

  private JsonNode outcome(JsonNode one, byte[] ticket, String way, Duration timeout) throws Exception {
    ObjectNode found = JSON.createObjectNode();
    String rpc = way.equals("exchange") ? "DoExchange" : "GetFlightInfo";
    try {
      switch (way) {
        case "exchange" -> exchange(ticket, one.get("exchange"), found);
        case "ticket" -> {
          rpc = "DoGet";
          Plan alone = new Plan("", 0, 0, 0, 0, 0, 0, List.of(), Map.of(), List.of(new Endpoint(ticket, List.of(), null)), new Schema(List.of()));
          read(client.read(alone, timeout), found);
        }
        default -> {
          Plan plan = client.plan(ticket, timeout);
          found.set("plan", plan(plan, raw.info(ticket)));
          found.set("schema", SchemaText.of(plan.schema()));
          rpc = "DoGet";
          read(client.read(plan, timeout), found);
        }
      }
    } catch (RasterflightException error) {
      found.set("error", told(error.detail()));
    } catch (FlightRuntimeException error) {
      byte[] trailer = error.status().metadata().getByte("rasterflight-error-bin");
      found.set("error", told(ErrorDetail.parseFrom(trailer)));
    }
    if (found.has("error")) {
      found.remove("schema");
      found.put("on", rpc);
    }
    return found;
  }

  private static void read(ReadStream open, ObjectNode found) {
    Map<String, ColumnDigest> columns = new LinkedHashMap<>();
    Schema schema = open.schema();
    int rows = 0;
    try (ReadStream stream = open) {
      while (stream.next()) {
        schema = stream.batch().getSchema();
        rows += stream.batch().getRowCount();
        ColumnDigest.add(stream.batch(), columns);
      }
      put(found, schema, rows, columns, stream.bytesReceived(), stream.bytesTotal());
    }
  }

  private void exchange(byte[] ticket, JsonNode sets, ObjectNode found) throws Exception {
    Map<String, ColumnDigest> columns = new LinkedHashMap<>();
    List<Schema> schemas = new ArrayList<>();
    List<Integer> rows = new ArrayList<>();
    Progress progress = raw.exchange(ticket, sets, columns, schemas, rows);
    int count = rows.stream().mapToInt(Integer::intValue).sum();
    put(found, schemas.get(0), count, columns, progress.getBytesDone(), progress.getBytesTotal());
  }

  private static void put(ObjectNode found, Schema schema, int rows, Map<String, ColumnDigest> columns, long done, long total) {
    found.put("rows", rows);
    found.putObject("progress").put("bytes_done", done).put("bytes_total", total);
    // an empty stream of a ticket alone gives its schema to nobody
    if (!schema.getFields().isEmpty()) {
      found.set("schema", SchemaText.of(schema));
      ArrayNode keys = found.putArray("metadata_keys");
      new TreeSet<>(schema.getCustomMetadata().keySet()).forEach(keys::add);
    }
    if (rows > 0) {
      ObjectNode told = found.putObject("columns");
      columns.forEach((name, column) -> told.set(name, column.told()));
    }
  }

  private static JsonNode plan(Plan plan, FlightInfo info) {
    if (plan.snapshot().isEmpty()) {
      throw new IllegalStateException("a plan without a snapshot");
    }
    ObjectNode told =
        JSON.createObjectNode()
            .put("records", plan.records())
            .put("chips", plan.chips())
            .put("rows", plan.rows())
            .put("tiles", plan.tiles())
            .put("bytes_to_fetch", plan.bytesToFetch())
            .put("bytes_to_receive", plan.bytesToReceive())
            .put("total_records", info.getRecords())
            .put("total_bytes", info.getBytes())
            .put("ordered", info.getOrdered())
            .put("endpoints", plan.endpoints().size());
    ArrayNode crs = told.putArray("crs");
    plan.crs().forEach(crs::add);
    ArrayNode levels = told.putArray("levels");
    plan.levels().forEach((band, numbers) -> {
      ArrayNode listed = levels.addObject().put("band", band).putArray("levels");
      numbers.forEach(listed::add);
    });
    return told;
  }

  private JsonNode told(ErrorDetail detail) throws Exception {
    ErrorDetail.Builder shown = detail.toBuilder().clearRequestId().clearRetryAfter();
    for (JsonNode snapshot : snapshots()) {
      shown.setMessage(shown.getMessage().replace(snapshot.asText(), "{snapshot}"));
      shown.setHint(shown.getHint().replace(snapshot.asText(), "{snapshot}"));
    }
    ObjectNode told = (ObjectNode) JSON.readTree(JsonFormat.printer().preservingProtoFieldNames().print(shown));
    return told.put("retryable", detail.getRetryable());
  }

  @Override
  public void close() {
    client.close();
    raw.close();
  }
}
