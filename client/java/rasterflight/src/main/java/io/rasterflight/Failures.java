package io.rasterflight;

import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.rasterflight.v1.ErrorDetail;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.apache.arrow.flight.CallStatus;
import org.apache.arrow.flight.FlightRuntimeException;

/** From the errors of Flight to those of this package. */
final class Failures {
  private static final String TRAILER = "rasterflight-error-bin";
  private static final Metadata.Key<byte[]> TRAILER_KEY = Metadata.Key.of(TRAILER, Metadata.BINARY_BYTE_MARSHALLER);

  private Failures() {}

  /** Makes a call whose errors are those of this package. */
  static <T> T translated(String url, Supplier<T> call) {
    try {
      return call.get();
    } catch (RuntimeException error) {
      throw translate(error, url);
    }
  }

  /** Finds the error for one of Flight: by the detail in the trailer, without one by status. What is none of Flight's stays. */
  static RuntimeException translate(Throwable error, String url) {
    if (error instanceof RasterflightException known) {
      return known;
    }
    if (error instanceof FlightRuntimeException told) {
      return details(told).findFirst().<RuntimeException>map(detail -> named(detail, told)).orElseGet(() -> byStatus(told, url));
    }
    if (error instanceof StatusRuntimeException told) {
      Optional<ErrorDetail> detail = Optional.ofNullable(told.getTrailers()).map(all -> all.get(TRAILER_KEY)).flatMap(Failures::parse);
      return detail.map(found -> named(found, told)).orElseGet(() -> byStatus(told.getStatus().getCode().name(), told.getStatus().getDescription(), told, url));
    }
    if (error instanceof ExecutionException && error.getCause() != null) {
      return translate(error.getCause(), url);
    }
    if (error.getCause() instanceof InterruptedException) {
      Thread.currentThread().interrupt();
      return cancelled(error);
    }
    return error instanceof RuntimeException other ? other : protocol(url, String.valueOf(error), error);
  }

  static RasterflightException badRequest(String field, String message) {
    return faulty(ErrorCode.BAD_REQUEST, field, message);
  }

  static RasterflightException badGeometry(String message) {
    return faulty(ErrorCode.BAD_GEOMETRY, "geometries", message);
  }

  static RasterflightException protocol(String url, String message, Throwable cause) {
    return ErrorCode.PROTOCOL.exception("the answer of " + url + " is not as the protocol says: " + message, "", cause);
  }

  static RasterflightException cancelled(Throwable cause) {
    return ErrorCode.CANCELLED.exception("the call was cancelled", "", cause);
  }

  /** The error for one in the middle of a stream: that a server is there has been seen. */
  static RasterflightException lost(RasterflightException error, String url) {
    if (error.code() != ErrorCode.UNAVAILABLE || !(error.getCause() instanceof FlightRuntimeException told)) {
      return error;
    }
    String why = Objects.requireNonNullElse(told.status().description(), "");
    return ErrorCode.UNAVAILABLE.exception("the connection to " + url + " was lost: " + why, "read again", told);
  }

  private static RasterflightException faulty(ErrorCode code, String field, String message) {
    return code.exception(ErrorDetail.newBuilder().setCode(code.name()).setField(field).setMessage(message).build(), null);
  }

  private static Stream<ErrorDetail> details(FlightRuntimeException error) {
    return Stream.ofNullable(error.status().metadata())
        .filter(metadata -> metadata.containsKey(TRAILER))
        .flatMap(metadata -> StreamSupport.stream(metadata.getAllByte(TRAILER).spliterator(), false))
        .flatMap(bytes -> parse(bytes).stream());
  }

  private static Optional<ErrorDetail> parse(byte[] bytes) {
    try {
      return Optional.of(ErrorDetail.parseFrom(bytes)).filter(detail -> !detail.getCode().isEmpty());
    } catch (InvalidProtocolBufferException damaged) {
      return Optional.empty();
    }
  }

  private static RasterflightException named(ErrorDetail detail, Throwable cause) {
    return ErrorCode.named(detail.getCode()).exception(detail, cause);
  }

  private static RasterflightException byStatus(FlightRuntimeException error, String url) {
    CallStatus status = error.status();
    return byStatus(status.code().name(), status.description(), error, url);
  }

  /** Answers without a detail: of a proxy on the way, of another service, of no service at all. */
  private static RasterflightException byStatus(String status, String description, Throwable error, String url) {
    String message = Objects.requireNonNullElse(description, status);
    return switch (status) {
      case "UNAVAILABLE" -> ErrorCode.UNAVAILABLE.exception(
          "no server answers at " + url + ": " + message, "start one with `rasterflight-server serve`", error);
      case "TIMED_OUT", "DEADLINE_EXCEEDED" -> ErrorCode.DEADLINE.exception(
          "no answer from " + url + " within the timeout", "give the call more time, or ask for less", error);
      case "CANCELLED" -> cancelled(error);
      case "UNAUTHENTICATED" -> ErrorCode.UNAUTHENTICATED.exception(message, "", error);
      case "UNAUTHORIZED", "PERMISSION_DENIED" -> ErrorCode.FORBIDDEN.exception(message, "", error);
      case "RESOURCE_EXHAUSTED" -> ErrorCode.LIMIT_EXCEEDED.exception(message, "", error);
      case "INTERNAL", "UNKNOWN" -> ErrorCode.INTERNAL.exception(message, "", error);
      default -> protocol(url, message, error);
    };
  }
}
