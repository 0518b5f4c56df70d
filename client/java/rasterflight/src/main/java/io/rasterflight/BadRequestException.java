package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** A value of the request is missing, out of range, or contradicts another; also of its kin: see {@link #code()}. */
public class BadRequestException extends RasterflightException {
  BadRequestException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
