package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** No server answers, or it is busy, or about to stop. */
public class ServerUnavailableException extends RasterflightException {
  ServerUnavailableException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
