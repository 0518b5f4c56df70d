package io.rasterflight.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import io.rasterflight.v1.Progress;
import java.net.URI;
import java.util.List;
import java.util.Map;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Location;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/** What the client has no calls for, by Flight itself. */
final class RawCalls implements AutoCloseable {
  private final BufferAllocator allocator;
  private final FlightClient flight;

  RawCalls(String url, BufferAllocator allocator) {
    this.allocator = allocator;
    flight = FlightClient.builder(allocator, new Location(URI.create(url))).build();
  }

  FlightInfo info(byte[] ticket) {
    return flight.getInfo(FlightDescriptor.command(ticket));
  }

  /** Sends sets of points, and takes what comes. */
  Progress exchange(byte[] ticket, JsonNode sets, Map<String, ColumnDigest> columns, List<Schema> schemas, List<Integer> rows)
      throws Exception {
    Field x = new Field("x", FieldType.nullable(new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE)), null);
    Field y = new Field("y", x.getFieldType(), null);
    Progress progress = Progress.getDefaultInstance();
    try (VectorSchemaRoot root = VectorSchemaRoot.create(new Schema(List.of(x, y)), allocator);
        FlightClient.ExchangeReaderWriter call = flight.doExchange(FlightDescriptor.command(ticket))) {
      send(call, root, sets);
      FlightStream reader = call.getReader();
      while (reader.next()) {
        schemas.add(reader.getSchema());
        rows.add(reader.getRoot().getRowCount());
        ColumnDigest.add(reader.getRoot(), columns);
        if (reader.getLatestMetadata() != null) {
          progress = Progress.parseFrom(reader.getLatestMetadata().nioBuffer());
        }
      }
      schemas.add(reader.getSchema());
      return progress;
    }
  }

  private static void send(FlightClient.ExchangeReaderWriter call, VectorSchemaRoot root, JsonNode sets) {
    call.getWriter().start(root);
    for (JsonNode set : sets) {
      for (String name : List.of("x", "y")) {
        Float8Vector vector = (Float8Vector) root.getVector(name);
        vector.allocateNew(set.path(name).size());
        for (int i = 0; i < set.path(name).size(); i++) {
          vector.setSafe(i, Double.parseDouble(set.path(name).get(i).asText()));
        }
      }
      root.setRowCount(set.path("x").size());
      call.getWriter().putNext();
    }
    call.getWriter().completed();
  }

  @Override
  public void close() {
    try {
      flight.close();
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
