package io.rasterflight;

import java.io.IOException;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.VectorUnloader;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.types.pojo.Schema;

/** A read as Arrow's own kind of stream; batches are handed over, not copied. */
final class BatchReader extends ArrowReader {
  private final ReadStream stream;

  BatchReader(BufferAllocator allocator, ReadStream stream) {
    super(allocator);
    this.stream = stream;
  }

  @Override
  public boolean loadNextBatch() throws IOException {
    prepareLoadNextBatch();
    if (!stream.next()) {
      return false;
    }
    loadRecordBatch(new VectorUnloader(stream.batch()).getRecordBatch());
    return true;
  }

  @Override
  public long bytesRead() {
    return stream.bytesReceived();
  }

  @Override
  protected void closeReadSource() {
    stream.close();
  }

  @Override
  protected Schema readSchema() {
    return stream.schema();
  }
}
