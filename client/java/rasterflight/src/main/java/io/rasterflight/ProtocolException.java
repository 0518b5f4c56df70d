package io.rasterflight;

import io.rasterflight.v1.ErrorDetail;

/** What came back is not what the protocol says: another service at this address, or a stream cut short. */
public class ProtocolException extends RasterflightException {
  ProtocolException(ErrorDetail detail, Throwable cause) {
    super(detail, cause);
  }
}
