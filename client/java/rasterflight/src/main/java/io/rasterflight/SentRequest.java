package io.rasterflight;

import io.rasterflight.v1.Filter;
import io.rasterflight.v1.Geometries;
import io.rasterflight.v1.ReadRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flight.Action;

/** A request as it goes to the server: its large sets of areas are replaced by uploads, which the server forgets when this is closed. */
final class SentRequest implements AutoCloseable {
  // Areas that take more bytes than this go up before the request.
  private static final int TICKET_BYTES = 1 << 20;
  // How long a server may take to drop an upload before it is left to forget it by itself.
  private static final Duration DROPPING = Duration.ofSeconds(5);

  private final Connection connection;
  private final ReadRequest original;
  private final ReadRequest.Builder message;
  private final List<String> uploads = new ArrayList<>();

  private SentRequest(Connection connection, ReadRequest request) {
    this.connection = connection;
    original = request;
    message = request.toBuilder();
  }

  /** Nothing went up: a ticket holds what it holds. */
  static SentRequest nothing(Connection connection) {
    return new SentRequest(connection, ReadRequest.getDefaultInstance());
  }

  static SentRequest send(Connection connection, ReadRequest request, Timeout timeout) {
    SentRequest sent = new SentRequest(connection, request);
    try {
      sent.sendAreas(timeout);
    } catch (RuntimeException | Error error) {
      sent.close();
      throw error;
    }
    return sent;
  }

  ReadRequest message() {
    return message.build();
  }

  ReadRequest original() {
    return original;
  }

  /** Whether an error means that the server does not know what went up: it was started anew, or is one of several. */
  boolean isLost(RasterflightException error) {
    return error.code() == ErrorCode.UPLOAD_NOT_FOUND && !uploads.isEmpty();
  }

  /** Puts the areas themselves into a request that refers to uploads. */
  ReadRequest restored(ReadRequest request) {
    ReadRequest.Builder whole = request.toBuilder().clearFilters().addAllFilters(original.getFiltersList());
    return (original.hasGeometries() ? whole.setGeometries(original.getGeometries()) : whole).build();
  }

  @Override
  public void close() {
    for (String id : uploads) {
      try {
        Action drop = new Action("upload.drop", id.getBytes(StandardCharsets.UTF_8));
        Failures.translated(connection.url, () -> {
          connection.flight().doAction(drop, Timeout.of(DROPPING).options()).forEachRemaining(answer -> {});
          return null;
        });
      } catch (RasterflightException unreachable) {
        // the server forgets it by itself
      }
    }
    uploads.clear();
  }

  private void sendAreas(Timeout timeout) {
    try {
      if (goesUp(original.getGeometries())) {
        message.setGeometries(upload(original.getGeometries(), "geometries", timeout));
      }
      for (int i = 0; i < original.getFiltersCount(); i++) {
        Filter filter = original.getFilters(i);
        if (goesUp(filter.getGeometries())) {
          Geometries areas = upload(filter.getGeometries(), "filters[" + i + "].geometries", timeout);
          message.setFilters(i, filter.toBuilder().setGeometries(areas));
        }
      }
    } catch (ServerUnavailableException error) {
      if (error.code() != ErrorCode.BUSY) {
        throw error;
      }
      // there is no room to keep them: these go with the ticket
    }
  }

  private Geometries upload(Geometries areas, String field, Timeout timeout) {
    try {
      String id = new AreaUpload(connection, areas).send(timeout).getId();
      uploads.add(id);
      return areas.toBuilder().setUpload(id).build();
    } catch (RasterflightException error) {
      throw error.about(field);
    }
  }

  private static boolean goesUp(Geometries areas) {
    return !areas.hasUpload() && areas.getSerializedSize() > TICKET_BYTES && !AreaUpload.crosses(areas);
  }
}
