package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** The server cannot do this: a codec, or a layout. */
public class UnsupportedException extends RasterflightException {
  UnsupportedException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
