package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** A fault of the server; {@link #requestId()} finds it in the log there. */
public class InternalServerException extends RasterflightException {
  InternalServerException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
