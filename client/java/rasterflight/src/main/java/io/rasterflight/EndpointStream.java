package io.rasterflight;

import com.google.protobuf.InvalidProtocolBufferException;
import io.rasterflight.v1.Progress;
import io.rasterflight.v1.ReadRequest;
import java.util.concurrent.CountDownLatch;
import java.util.function.UnaryOperator;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.Schema;

/** The rows of one endpoint; where it breaks off, another call goes on with those that did not come. */
final class EndpointStream implements AutoCloseable {
  private final Connection connection;
  private final Timeout timeout;
  private final Schema schema;
  // Counted down when nobody wants the rows any more.
  private final CountDownLatch stopped;
  private final SentRequest sent;
  private byte[] ticket;
  // It has all areas in it.
  private boolean isWhole;
  private Retries retries;
  // cancel() looks at it, from any thread.
  private volatile FlightStream call;
  private boolean hasRows;
  private Progress progress = Progress.getDefaultInstance();

  EndpointStream(
      Connection connection, Endpoint endpoint, Schema schema, SentRequest sent, Timeout timeout, CountDownLatch stopped) {
    this.connection = connection;
    this.timeout = timeout;
    this.schema = schema;
    this.sent = sent;
    this.stopped = stopped;
    ticket = endpoint.ticket();
    retries = connection.retries(timeout, stopped);
  }

  /** Begins a call; its rows may then be on their way. */
  void start() {
    call = Failures.translated(connection.url, () -> connection.flight().getStream(new Ticket(ticket), timeout.options()));
    if (stopped.getCount() == 0) {
      cancel();
    }
  }

  /** Waits for the next batch; false: there are no more. */
  boolean next() {
    while (true) {
      try {
        if (call == null) {
          start();
        }
        if (!Failures.translated(connection.url, call::next)) {
          return false;
        }
        note();
        return true;
      } catch (RasterflightException error) {
        goOn(hasRows ? Failures.lost(error, connection.url) : error);
      }
    }
  }

  /** The batch that {@link #next} waited for. */
  VectorSchemaRoot root() {
    return call.getRoot();
  }

  /** What came with it. */
  Progress progress() {
    return progress;
  }

  /** Ends the call, on the server too; from any thread. */
  void cancel() {
    FlightStream running = call;
    if (running != null) {
      running.cancel("the read was closed", null);
    }
  }

  @Override
  public void close() {
    FlightStream ending = call;
    call = null;
    if (ending != null) {
      Uninterrupted.run(ending::close);
    }
  }

  private void note() {
    if (!call.getSchema().getFields().equals(schema.getFields())) {
      throw Failures.protocol(connection.url, "rows have another schema than was planned", null);
    }
    retries = connection.retries(timeout, stopped); // tries are counted anew with each answer
    hasRows = true;
    progress = Progress.getDefaultInstance();
    ArrowBuf metadata = call.getLatestMetadata();
    if (metadata != null) {
      try {
        progress = Progress.parseFrom(metadata.nioBuffer());
      } catch (InvalidProtocolBufferException decoration) {
        // another server may say something else here
      }
    }
  }

  /** Makes the next call one for the rows that did not come, when its time has come; throws the error if there is to be none. */
  private void goOn(RasterflightException error) {
    boolean known = !hasRows || progress.hasNext();
    if (!known || stopped.getCount() == 0) {
      throw error;
    }
    close();
    if (sent.isLost(error) && !isWhole) {
      // the areas went to one server and the ticket to another: one that holds them goes anywhere
      isWhole = true;
      ticket = rewritten(sent::restored, error);
      return;
    }
    retries.awaitTurn(error);
    if (hasRows) {
      ticket = rewritten(request -> request.toBuilder().setStart(progress.getNext()).build(), error);
    }
  }

  private byte[] rewritten(UnaryOperator<ReadRequest> change, RasterflightException error) {
    try {
      return Request.ticket(change.apply(Request.parse(ticket)));
    } catch (InvalidProtocolBufferException foreign) {
      throw error; // a ticket in words of its own is taken as it is, or not at all
    }
  }
}
