package io.rasterflight;

/** How pixels of another grid are made, as GDAL means it. */
public enum Resampling {
  NEAREST(io.rasterflight.v1.Resampling.RESAMPLING_NEAREST),
  BILINEAR(io.rasterflight.v1.Resampling.RESAMPLING_BILINEAR),
  CUBIC(io.rasterflight.v1.Resampling.RESAMPLING_CUBIC),
  AVERAGE(io.rasterflight.v1.Resampling.RESAMPLING_AVERAGE),
  MODE(io.rasterflight.v1.Resampling.RESAMPLING_MODE);

  final io.rasterflight.v1.Resampling message;

  Resampling(io.rasterflight.v1.Resampling message) {
    this.message = message;
  }
}
