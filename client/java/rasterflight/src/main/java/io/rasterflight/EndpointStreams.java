package io.rasterflight;

import java.util.Deque;
import java.util.Iterator;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CountDownLatch;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * The endpoints of a read, one after the other for the caller, some at a time on the way: Flight takes a few batches ahead from each
 * stream that is open.
 */
final class EndpointStreams implements AutoCloseable {
  private final Connection connection;
  private final Schema schema;
  private final SentRequest sent;
  private final Timeout timeout;
  private final Iterator<Endpoint> ahead;
  private final Deque<EndpointStream> open = new ConcurrentLinkedDeque<>();
  private final CountDownLatch stopped = new CountDownLatch(1);

  EndpointStreams(Connection connection, Plan plan, SentRequest sent, Timeout timeout) {
    this.connection = connection;
    this.sent = sent;
    this.timeout = timeout;
    schema = plan.schema();
    ahead = plan.endpoints().iterator();
    fill();
  }

  /** Waits for the next batch, which is that of the endpoint; null: there are no more. It is valid until the next call. */
  EndpointStream next() {
    while (true) {
      fill();
      EndpointStream first = open.peek();
      if (first == null || first.next()) {
        return first;
      }
      open.remove().close();
    }
  }

  /** Ends all streams, on the server too; from any thread. */
  void cancel() {
    stopped.countDown();
    open.forEach(EndpointStream::cancel);
  }

  @Override
  public void close() {
    cancel();
    open.forEach(EndpointStream::close);
    open.clear();
  }

  private void fill() {
    while (ahead.hasNext() && open.size() < connection.options.maxConcurrent) {
      EndpointStream one = new EndpointStream(connection, ahead.next(), schema, sent, timeout, stopped);
      open.add(one);
      one.start();
    }
  }
}
