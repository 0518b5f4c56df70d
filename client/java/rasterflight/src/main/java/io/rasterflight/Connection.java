package io.rasterflight;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BiFunction;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightGrpcUtils;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;

/** One Flight connection, whose errors are those of this package; safe to share between threads. */
final class Connection implements AutoCloseable {
  final String url;
  final ConnectOptions options;
  final BufferAllocator allocator;
  private final FlightClient flight;
  private final Channels.Opened channel;
  private final AtomicBoolean reached = new AtomicBoolean();
  private final AtomicBoolean closed = new AtomicBoolean();
  private final Set<AutoCloseable> streams = ConcurrentHashMap.newKeySet();

  Connection(String url, ConnectOptions options) {
    this.url = url;
    this.options = options;
    channel = Channels.open(url, options);
    allocator =
        options.allocator == null
            ? new RootAllocator()
            : options.allocator.newChildAllocator("rasterflight", 0, options.allocator.getLimit());
    flight = FlightGrpcUtils.createFlightClient(allocator, channel.channel());
  }

  /** Makes a call that changes nothing until it is answered. */
  <T> T call(Timeout timeout, BiFunction<FlightClient, CallOption[], T> call) {
    return retries(timeout, new CountDownLatch(1))
        .trying(() -> Failures.translated(url, () -> call.apply(flight, timeout.options())));
  }

  FlightClient flight() {
    return flight;
  }

  /** Tries of one call, until nobody wants its answer any more. */
  Retries retries(Timeout timeout, CountDownLatch stopped) {
    return new Retries(options.retries, reached, timeout, stopped);
  }

  void opened(AutoCloseable stream) {
    streams.add(stream);
  }

  void ended(AutoCloseable stream) {
    streams.remove(stream);
  }

  @Override
  public void close() {
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    streams.forEach(stream -> Uninterrupted.run(stream::close));
    Uninterrupted.run(flight::close);
    channel.release().run();
    allocator.close();
  }
}
