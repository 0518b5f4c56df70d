package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** The index changed since the plan was made: plan again. */
public class StaleSnapshotException extends RasterflightException {
  StaleSnapshotException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
