package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;
import java.time.Duration;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What the service, or the way to it, has to say. Subclasses are what callers tell apart; {@link #code()} is finer. Texts that are
 * not known are empty.
 */
public class RasterflightException extends RuntimeException {
  private final transient ErrorDetail detail;

  RasterflightException(ErrorDetail detail, Throwable cause) {
    super(text(detail), cause);
    this.detail = detail;
  }

  /** The same about another field of the request. */
  RasterflightException about(String field) {
    return code().exception(detail.toBuilder().setField(field).build(), getCause());
  }

  /** All of it, as the server wrote it. */
  public ErrorDetail detail() {
    return detail;
  }

  /** What kind of error it is. */
  public ErrorCode code() {
    return ErrorCode.named(detail.getCode());
  }

  /** The code as the server wrote it. */
  public String codeName() {
    return detail.getCode();
  }

  /** What went wrong, without {@link #hint()} and without what it is about. */
  public String reason() {
    return detail.getMessage();
  }

  /** The way out. */
  public String hint() {
    return detail.getHint();
  }

  /** What to quote to the operator of the server. */
  public String requestId() {
    return detail.getRequestId();
  }

  /** Collection that it is about. */
  public String collection() {
    return detail.getCollection();
  }

  /** Record that it is about. */
  public String record() {
    return detail.getRecord();
  }

  /** Asset of the record that it is about. */
  public String asset() {
    return detail.getAsset();
  }

  /** Field of the request at fault, such as {@code filters[0].date_range}. */
  public String field() {
    return detail.getField();
  }

  /** Whether the same call may succeed later. */
  public boolean retryable() {
    return detail.getRetryable();
  }

  /** How long the server asks to wait before that; zero: it does not say. */
  public Duration retryAfter() {
    return Duration.ofNanos((long) (detail.getRetryAfter() * 1e9));
  }

  private static String text(ErrorDetail detail) {
    String message = detail.getMessage();
    String about =
        Stream.of(detail.getCollection(), detail.getRecord(), detail.getAsset())
            .filter(part -> !part.isEmpty() && !names(message, part))
            .collect(Collectors.joining("/"));
    return (about.isEmpty() ? "" : about + ": ") + message + (detail.getHint().isEmpty() ? "" : " (" + detail.getHint() + ")");
  }

  private static boolean names(String message, String thing) {
    return Pattern.compile("(?<![\\w-])" + Pattern.quote(thing) + "(?![\\w-])").matcher(message).find();
  }
}
