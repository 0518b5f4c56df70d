package io.rasterflight;

/** How the buffers of record batches travel. */
public enum Compression {
  /** As they are, also where the client says otherwise. */
  NONE(io.rasterflight.v1.Compression.COMPRESSION_NONE),
  LZ4(io.rasterflight.v1.Compression.COMPRESSION_LZ4),
  ZSTD(io.rasterflight.v1.Compression.COMPRESSION_ZSTD);

  final io.rasterflight.v1.Compression message;

  Compression(io.rasterflight.v1.Compression message) {
    this.message = message;
  }
}
