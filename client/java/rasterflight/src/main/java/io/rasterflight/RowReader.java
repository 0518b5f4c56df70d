package io.rasterflight;

import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Queue;
import org.apache.arrow.vector.VectorSchemaRoot;

/** Makes values of Java of batches of rows. */
interface RowReader<T> {
  /** Reads a batch; what is finished goes to the end of the queue. */
  void read(VectorSchemaRoot batch, Queue<T> found);

  /** There are no more batches. */
  default void end(Queue<T> found) {}

  /** Reads as values are asked for. */
  default Iterator<T> over(ReadStream stream) {
    Queue<T> found = new ArrayDeque<>();
    return new Iterator<>() {
      private boolean ended;

      @Override
      public boolean hasNext() {
        while (found.isEmpty() && !ended) {
          if (stream.next()) {
            read(stream.batch(), found);
          } else {
            ended = true;
            end(found);
          }
        }
        return !found.isEmpty();
      }

      @Override
      public T next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        return found.remove();
      }
    };
  }
}
