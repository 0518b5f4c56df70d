package io.rasterflight;

import io.rasterflight.v1.Progress;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * The rows of a read, as they arrive; they can be taken once, by one of {@link #chips}, {@link #samples}, {@link #rows}, {@link #next} or
 * {@link #reader}.
 *
 * <p>It is to be closed: what has not been read is then cancelled on the server, and the memory of Arrow is given back. {@link #close}
 * may come from any thread; one that waits for rows then has a {@link CancelledException}, as has one that is interrupted.
 */
public final class ReadStream implements AutoCloseable {
  private final Connection connection;
  private final Plan plan;
  private final SentRequest sent;
  private final EndpointStreams endpoints;
  private final boolean mayFail;
  private final Set<SkippedRecord> skipped = new LinkedHashSet<>();
  // One thread reads or tidies up at a time.
  private final ReentrantLock lock = new ReentrantLock();
  private VectorSchemaRoot batch;
  private boolean closed;
  // Of the endpoints that are through, and of the one that comes.
  private long bytesDone;
  private long bytesTotal;
  private Progress progress = Progress.getDefaultInstance();
  private EndpointStream last;

  ReadStream(Connection connection, Plan plan, SentRequest sent, Timeout timeout) {
    this.connection = connection;
    this.plan = plan;
    this.sent = sent;
    mayFail = plan.schema().getFields().stream().anyMatch(field -> field.getName().equals("error"));
    endpoints = new EndpointStreams(connection, plan, sent, timeout);
    connection.opened(this);
  }

  /** What was known before. */
  public Plan plan() {
    return plan;
  }

  /** Schema of the rows. */
  public Schema schema() {
    return plan.schema();
  }

  /**
   * Reads as chips: the blocks of each are put together, records that failed are left out whole.
   *
   * @throws UnsupportedException the rows are in another layout
   */
  public Rows<Chip> chips() {
    return rows(new ChipReader(schema()));
  }

  /**
   * Reads what {@link Request#points} asked for.
   *
   * @throws UnsupportedException the rows are in another layout
   */
  public Rows<Sample> samples() {
    return rows(new SampleReader(schema()));
  }

  /** Reads rows of any layout as maps from the column to the value: for records, say. Times are {@link java.time.Instant}. */
  public Rows<Map<String, Object>> rows() {
    return rows(new MapReader());
  }

  /** Waits for the next batch of Arrow; false: there are no more. */
  public boolean next() {
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      EndpointStream endpoint = endpoints.next();
      if (endpoint == null) {
        close();
        return false;
      }
      batch = endpoint.root();
      note(endpoint);
      return true;
    } catch (RuntimeException | Error error) {
      close(); // the server must not go on for nobody
      throw error;
    } finally {
      lock.unlock();
    }
  }

  /** The batch that {@link #next} waited for; valid until it is called again, or the stream is closed. */
  public VectorSchemaRoot batch() {
    return batch;
  }

  /** Reads as whatever takes streams of Arrow does: DuckDB over the C data interface, a writer of IPC files. To be closed as well. */
  public ArrowReader reader() {
    return new BatchReader(connection.allocator, this);
  }

  /** Records that could not be read, as far as the stream has been taken. */
  public List<SkippedRecord> skipped() {
    lock.lock();
    try {
      return List.copyOf(skipped);
    } finally {
      lock.unlock();
    }
  }

  /** Bytes of pixels that came. */
  public long bytesReceived() {
    lock.lock();
    try {
      return bytesDone + progress.getBytesDone();
    } finally {
      lock.unlock();
    }
  }

  /** Bytes of pixels in all, as the server said with the last batch; 0: not known. */
  public long bytesTotal() {
    lock.lock();
    try {
      return bytesTotal + progress.getBytesTotal();
    } finally {
      lock.unlock();
    }
  }

  /** Ends the read, on the server too; after the end nothing happens. */
  @Override
  public void close() {
    endpoints.cancel();
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      batch = null;
      endpoints.close();
      sent.close();
      connection.ended(this);
    } finally {
      lock.unlock();
    }
  }

  private <T> Rows<T> rows(RowReader<T> reader) {
    return () -> reader.over(this);
  }

  /** Remembers what a batch says besides its rows. */
  private void note(EndpointStream endpoint) {
    if (endpoint != last) {
      bytesDone += progress.getBytesDone();
      bytesTotal += progress.getBytesTotal();
      last = endpoint;
    }
    progress = endpoint.progress();
    if (mayFail) {
      Columns columns = new Columns(batch);
      for (int row = 0; row < batch.getRowCount(); row++) {
        String reason = columns.text("error", row);
        if (reason != null) {
          skipped.add(new SkippedRecord(columns.text("record_id", row), reason));
        }
      }
    }
  }
}
