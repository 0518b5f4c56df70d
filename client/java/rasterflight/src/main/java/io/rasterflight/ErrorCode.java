package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What kind of error it is: the codes of the service, and at the end those of this client. */
public enum ErrorCode {
  BAD_REQUEST(BadRequestException::new),
  BAD_GEOMETRY(BadRequestException::new),
  CRS_REQUIRED(BadRequestException::new),
  UNKNOWN_BAND(BadRequestException::new),
  LIMIT_EXCEEDED(BadRequestException::new),
  NO_DATA(NoDataException::new),
  COLLECTION_NOT_FOUND(NotFoundException::new),
  RECORD_NOT_FOUND(NotFoundException::new),
  UPLOAD_NOT_FOUND(NotFoundException::new),
  STALE_SNAPSHOT(StaleSnapshotException::new),
  UNSUPPORTED_CODEC(UnsupportedException::new),
  UNSUPPORTED_LAYOUT(UnsupportedException::new),
  UNAUTHENTICATED(AccessException::new),
  FORBIDDEN(AccessException::new),
  SOURCE_FORBIDDEN(SourceException::new),
  SOURCE_NOT_FOUND(SourceException::new),
  SOURCE_CHANGED(SourceException::new),
  SOURCE_CORRUPT(SourceException::new),
  SOURCE_UNAVAILABLE(SourceException::new),
  BUSY(ServerUnavailableException::new),
  DRAINING(ServerUnavailableException::new),
  DEADLINE(DeadlineException::new),
  CANCELLED(CancelledException::new),
  INTERNAL(InternalServerException::new),
  /** No server answers. */
  UNAVAILABLE(ServerUnavailableException::new),
  /** What came back is not what the protocol says. */
  PROTOCOL(ProtocolException::new),
  /** A code that this client does not know, of a newer server; {@link RasterflightException#codeName()} tells it. */
  OTHER(RasterflightException::new);

  private static final Map<String, ErrorCode> BY_NAME =
      Stream.of(values()).collect(Collectors.toMap(Enum::name, Function.identity()));

  private final BiFunction<ErrorDetail, Throwable, RasterflightException> make;

  ErrorCode(BiFunction<ErrorDetail, Throwable, RasterflightException> make) {
    this.make = make;
  }

  static ErrorCode named(String name) {
    return BY_NAME.getOrDefault(name, OTHER);
  }

  RasterflightException exception(ErrorDetail detail, Throwable cause) {
    return make.apply(detail, cause);
  }

  /** An error that arises in the client. */
  RasterflightException exception(String message, String hint, Throwable cause) {
    boolean retryable = this == UNAVAILABLE || this == DEADLINE;
    ErrorDetail detail =
        ErrorDetail.newBuilder().setCode(name()).setMessage(message).setHint(hint).setRetryable(retryable).build();
    return exception(detail, cause);
  }
}
