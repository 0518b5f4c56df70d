package io.rasterflight;

import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Queue;
import org.apache.arrow.vector.VectorSchemaRoot;

/**
 * Samples at points that go up while these come back; see {@link RasterCollection#sampleEach}. To be closed; {@link #close} may come from
 * any thread, as may that of the client.
 */
public final class SampleStream implements Iterator<Sample>, AutoCloseable {
  private final Connection connection;
  private final PointExchange exchange;
  private final SampleReader reader;
  private final Queue<Sample> found = new ArrayDeque<>();
  private boolean ended;

  SampleStream(Connection connection, PointExchange exchange) {
    this.connection = connection;
    this.exchange = exchange;
    reader = new SampleReader(exchange.schema());
    connection.opened(this);
  }

  @Override
  public boolean hasNext() {
    while (found.isEmpty() && !ended) {
      read();
    }
    return !found.isEmpty();
  }

  @Override
  public Sample next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return found.remove();
  }

  /** Ends the exchange, on the server too; after the end nothing happens. */
  @Override
  public void close() {
    exchange.cancel();
    end();
  }

  private synchronized void read() {
    if (ended) {
      return;
    }
    try {
      VectorSchemaRoot rows = exchange.next();
      if (rows == null) {
        end();
      } else {
        reader.read(rows, found);
      }
    } catch (RuntimeException | Error error) {
      end();
      throw error;
    }
  }

  private synchronized void end() {
    if (!ended) {
      ended = true;
      exchange.close();
      connection.ended(this);
    }
  }
}
