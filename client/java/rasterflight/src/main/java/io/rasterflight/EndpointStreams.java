package io.rasterflight;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Ticket;

/**
 * The endpoints of a read, one after the other for the caller, some at a time on the way: Flight takes a few batches ahead from each
 * stream that is open.
 */
final class EndpointStreams implements AutoCloseable {
  private final Connection connection;
  private final Timeout timeout;
  private final Iterator<Endpoint> ahead;
  private final Deque<Part> open = new ArrayDeque<>();
  // What cancel() looks at, from any thread.
  private final ConcurrentLinkedQueue<FlightStream> running = new ConcurrentLinkedQueue<>();
  private volatile boolean cancelled;

  EndpointStreams(Connection connection, List<Endpoint> endpoints, Timeout timeout) {
    this.connection = connection;
    this.timeout = timeout;
    ahead = endpoints.iterator();
    fill();
  }

  /** Waits for the next batch; null: there are no more. It is valid until the next call. */
  FlightStream next() {
    while (true) {
      fill();
      Part first = open.peek();
      if (first == null) {
        return null;
      }
      if (first.next()) {
        return first.stream;
      }
      open.remove().close();
    }
  }

  /** Ends all streams, on the server too; from any thread. */
  void cancel() {
    cancelled = true;
    running.forEach(stream -> stream.cancel("the read was closed", null));
  }

  @Override
  public void close() {
    cancel();
    open.forEach(Part::close);
    open.clear();
  }

  private void fill() {
    while (ahead.hasNext() && open.size() < connection.options.maxConcurrent) {
      Part part = new Part(ahead.next());
      open.add(part);
      part.start();
    }
  }

  /** One endpoint. */
  private final class Part {
    private final Ticket ticket;
    private final Retries retries = connection.retries(timeout);
    private FlightStream stream;
    private boolean hasRows;

    Part(Endpoint endpoint) {
      ticket = new Ticket(endpoint.ticket());
    }

    void start() {
      stream = Failures.translated(connection.url, () -> connection.flight().getStream(ticket, timeout.options()));
      running.add(stream);
      if (cancelled) {
        stream.cancel("the read was closed", null);
      }
    }

    /** Waits for the next batch; as long as none came, the endpoint is tried again where that makes sense. */
    boolean next() {
      while (true) {
        RasterflightException error;
        try {
          boolean more = Failures.translated(connection.url, stream::next);
          hasRows |= more;
          return more;
        } catch (RasterflightException caught) {
          error = caught;
        }
        if (hasRows || cancelled) {
          throw error;
        }
        close();
        retries.awaitTurn(error);
        start();
      }
    }

    void close() {
      if (stream == null) {
        return;
      }
      FlightStream ending = stream;
      stream = null;
      running.remove(ending);
      Uninterrupted.run(ending::close);
    }
  }
}
