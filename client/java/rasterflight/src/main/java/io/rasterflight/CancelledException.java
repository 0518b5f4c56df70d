package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** The call was cancelled: its stream was closed, or its thread interrupted. */
public class CancelledException extends RasterflightException {
  CancelledException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
