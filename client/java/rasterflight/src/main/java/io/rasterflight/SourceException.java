package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** A file that the index names cannot be read; {@link #record()} and {@link #asset()} say which. */
public class SourceException extends RasterflightException {
  SourceException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
