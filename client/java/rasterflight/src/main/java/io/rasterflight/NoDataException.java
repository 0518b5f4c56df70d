package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** The request is fine, and nothing answers it; the message says which step emptied the result. */
public class NoDataException extends RasterflightException {
  NoDataException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
