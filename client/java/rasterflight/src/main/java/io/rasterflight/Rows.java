package io.rasterflight;

import java.util.ArrayList;
import java.util.List;
import java.util.Spliterator;
import java.util.function.Supplier;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** What a read gives, taken as it arrives, once. */
public interface Rows<T> extends Iterable<T> {
  /** The same as a stream of Java; it need not be closed, the {@link ReadStream} does. */
  default Stream<T> stream() {
    Supplier<Spliterator<T>> source = this::spliterator;
    return StreamSupport.stream(source, Spliterator.ORDERED, false);
  }

  /** Takes all that is left. */
  default List<T> toList() {
    List<T> all = new ArrayList<>();
    forEach(all::add);
    return all;
  }
}
