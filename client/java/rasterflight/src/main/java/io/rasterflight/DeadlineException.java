package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** The call took longer than it may. */
public class DeadlineException extends RasterflightException {
  DeadlineException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
