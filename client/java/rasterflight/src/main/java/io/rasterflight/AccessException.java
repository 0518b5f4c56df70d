package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** The server does not let this caller in: the token is missing, wrong or expired, or does not allow this. */
public class AccessException extends RasterflightException {
  AccessException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
