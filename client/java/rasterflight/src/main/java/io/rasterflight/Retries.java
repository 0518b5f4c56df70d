package io.rasterflight;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/** Tries of one call: again when the server is busy, shuts down or cannot be reached any more, after a pause. */
final class Retries {
  // The first pause, which doubles from one to the next; of each, a part between the half and the whole is waited.
  private static final long FIRST_PAUSE_MS = 200;
  private static final long LONGEST_PAUSE_MS = 10_000;
  // However many tries there are: after so much time without an answer, no more.
  private static final long MOST_TRYING_MS = 120_000;

  private final int most;
  private final AtomicBoolean reached;
  private final Timeout timeout;
  private final CountDownLatch stopped;
  private int failed;
  private long since;

  /**
   * @param most tries after the first
   * @param reached whether a server has answered this client; where none ever did, there is probably none to wait for
   * @param stopped ends pauses
   */
  Retries(int most, AtomicBoolean reached, Timeout timeout, CountDownLatch stopped) {
    this.most = most;
    this.reached = reached;
    this.timeout = timeout;
    this.stopped = stopped;
  }

  /** Makes a call that changes nothing until it is answered, or there is no point in another try. */
  <T> T trying(Supplier<T> call) {
    while (true) {
      try {
        T answer = call.get();
        reached.set(true);
        return answer;
      } catch (RasterflightException error) {
        awaitTurn(error);
      }
    }
  }

  /** Waits until it is time for another try; throws the error if there is to be none. */
  void awaitTurn(RasterflightException error) {
    ErrorCode code = error.code();
    if (code != ErrorCode.UNAVAILABLE && code != ErrorCode.PROTOCOL) {
      reached.set(true);
    }
    boolean hopeful = error.retryable() && error instanceof ServerUnavailableException && reached.get();
    if (!hopeful || failed >= most) {
      throw error;
    }
    long now = System.nanoTime() / 1_000_000;
    since = failed == 0 ? now : since;
    long pause = pause(error.retryAfter());
    if (now + pause - since > MOST_TRYING_MS || !timeout.allows(Duration.ofMillis(pause))) {
      throw error;
    }
    try {
      if (stopped.await(pause, TimeUnit.MILLISECONDS)) {
        throw Failures.cancelled(error);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw Failures.cancelled(interrupted);
    }
    failed++;
  }

  private long pause(Duration asked) {
    long whole = Math.min(FIRST_PAUSE_MS << Math.min(failed, 10), LONGEST_PAUSE_MS);
    // not all at once: those who lost the same server come back one by one
    return Math.max(whole / 2 + ThreadLocalRandom.current().nextLong(whole / 2), asked.toMillis());
  }
}
