package io.rasterflight;

/** Which of the records that hold a point give rows. */
public enum Match {
  /** Each of them. The default. */
  ALL(io.rasterflight.v1.Match.MATCH_ALL),
  /** One row per point and band: of the newest record with a valid value. */
  LATEST(io.rasterflight.v1.Match.MATCH_LATEST);

  final io.rasterflight.v1.Match message;

  Match(io.rasterflight.v1.Match message) {
    this.message = message;
  }
}
