package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** There is no collection, record or upload of this name. */
public class NotFoundException extends RasterflightException {
  NotFoundException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
