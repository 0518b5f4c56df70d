package io.rasterflight;

import io.rasterflight.v1.ReadRequest;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/** A call that takes points and gives rows: points go up on a thread of their own. */
final class PointExchange implements AutoCloseable {
  // What a set of points may be: how many, and how many pixels they look at in a band, and in all.
  private static final int MOST_POINTS = 1 << 20;
  private static final int MOST_BAND_PIXELS = 2 << 20;
  private static final int MOST_PIXELS = 8 << 20;
  private static final long POLL_NANOS = 500_000;
  private static final long JOIN_MS = 5_000;
  private static final Schema COORDINATES =
      new Schema(
          List.of(
              Field.notNullable("x", new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE)),
              Field.notNullable("y", new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE))));

  private final Connection connection;
  private final int atOnce;
  private final VectorSchemaRoot root;
  private final FlightClient.ExchangeReaderWriter call;
  private Thread sender;
  private volatile boolean stopped;
  // Why no more points could be taken.
  private volatile Throwable failure;

  private PointExchange(Connection connection, ReadRequest request, FlightClient flight, CallOption... options) {
    this.connection = connection;
    atOnce = atOnce(request);
    root = VectorSchemaRoot.create(COORDINATES, connection.allocator);
    call = flight.doExchange(FlightDescriptor.command(Request.ticket(request)), options);
  }

  /** Begins an exchange, as often as it takes; the server has then said that it takes points. */
  static PointExchange open(Connection connection, ReadRequest request, Timeout timeout) {
    return connection.call(
        timeout,
        (flight, options) -> {
          PointExchange exchange = new PointExchange(connection, request, flight, options);
          try {
            exchange.call.getWriter().start(exchange.root);
            exchange.schema();
            return exchange;
          } catch (RuntimeException | Error error) {
            exchange.close();
            throw error;
          }
        });
  }

  Schema schema() {
    return call.getReader().getSchema();
  }

  /** Sends these points. */
  void send(Iterator<Points> sets, io.rasterflight.v1.Points like) {
    sender = new Thread(() -> sendAll(sets, like), "rasterflight-send");
    sender.setDaemon(true);
    sender.start();
  }

  /** Waits for the next rows; null: there are no more. */
  VectorSchemaRoot next() {
    FlightStream reader = call.getReader();
    try {
      boolean more = Failures.translated(connection.url, reader::next);
      if (more) {
        return reader.getRoot();
      }
    } catch (RasterflightException error) {
      throwFailure();
      throw error;
    }
    throwFailure();
    return null;
  }

  /** Ends the call, on the server too; from any thread. */
  void cancel() {
    stopped = true;
    call.getReader().cancel("the exchange was closed", null);
  }

  @Override
  public void close() {
    cancel();
    if (sender != null) {
      Uninterrupted.run(() -> sender.join(JOIN_MS));
    }
    Uninterrupted.run(call::close);
    root.close();
  }

  private void throwFailure() {
    if (failure instanceof Error error) {
      throw error;
    }
    if (failure instanceof RuntimeException error) {
      throw error;
    }
  }

  private void sendAll(Iterator<Points> sets, io.rasterflight.v1.Points like) {
    try {
      while (!stopped && sets.hasNext()) {
        io.rasterflight.v1.Points points = sets.next().message();
        if (!Points.settings(points).equals(like)) {
          throw Failures.badRequest("points", "the sets of points differ in more than their places");
        }
        for (int from = 0; from < points.getXCount(); from += atOnce) {
          put(points, from, Math.min(from + atOnce, points.getXCount()));
        }
      }
      if (!stopped) {
        call.getWriter().completed();
      }
    } catch (RuntimeException | Error error) {
      // raised in the thread that reads the rows
      failure = error;
      call.getReader().cancel("there are no more points", error);
    }
  }

  private void put(io.rasterflight.v1.Points points, int from, int to) {
    // Arrow itself would wait by turning round and round
    while (!stopped && !call.getWriter().isReady()) {
      LockSupport.parkNanos(POLL_NANOS);
    }
    if (stopped) {
      return;
    }
    fill((Float8Vector) root.getVector("x"), points.getXList(), from, to);
    fill((Float8Vector) root.getVector("y"), points.getYList(), from, to);
    root.setRowCount(to - from);
    call.getWriter().putNext();
    root.clear();
  }

  private static void fill(Float8Vector column, List<Double> values, int from, int to) {
    column.allocateNew(to - from);
    for (int i = from; i < to; i++) {
      column.set(i - from, values.get(i));
    }
    column.setValueCount(to - from);
  }

  private static int atOnce(ReadRequest request) {
    int side = 2 * Math.max(request.getPoints().getMaxDistancePixels(), 0) + 1;
    long pixels = (long) side * side;
    long bands = Math.max(request.getBandsCount(), 1);
    return (int) Math.max(1, Math.min(MOST_POINTS, Math.min(MOST_BAND_PIXELS / pixels, MOST_PIXELS / (pixels * bands))));
  }
}
