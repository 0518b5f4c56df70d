package io.rasterflight;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.CallOptions;

/** The time that a call, or all calls of a read together, may take. */
final class Timeout {
  private final Long end;

  private Timeout(Long end) {
    this.end = end;
  }

  /** From now on; null: no limit. */
  static Timeout of(Duration duration) {
    return new Timeout(duration == null ? null : System.nanoTime() + duration.toNanos());
  }

  /** What Flight is told of it. */
  CallOption[] options() {
    // gRPC takes what is over for an error of the programmer's
    return end == null ? new CallOption[0] : new CallOption[] {CallOptions.timeout(Math.max(left(), 1), TimeUnit.NANOSECONDS)};
  }

  boolean allows(Duration pause) {
    return end == null || left() > pause.toNanos();
  }

  private long left() {
    return end - System.nanoTime();
  }
}
