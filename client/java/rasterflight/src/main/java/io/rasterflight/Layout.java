package io.rasterflight;

/** What a row is. */
public enum Layout {
  /** A block of pixels of one record and area. The default, unless points are asked for. */
  CHIPS(io.rasterflight.v1.Layout.LAYOUT_CHIPS),
  /** A record of the index. */
  RECORDS(io.rasterflight.v1.Layout.LAYOUT_RECORDS),
  /** A pixel of one point, record and band. */
  POINTS(io.rasterflight.v1.Layout.LAYOUT_POINTS),
  /** A chip without its pixels; no file is read. */
  OUTLINES(io.rasterflight.v1.Layout.LAYOUT_OUTLINES),
  /** A pixel of one record and area, a column per band, for tables: see {@link ReadStream#rows()}. */
  PIXELS(io.rasterflight.v1.Layout.LAYOUT_PIXELS);

  final io.rasterflight.v1.Layout message;

  Layout(io.rasterflight.v1.Layout message) {
    this.message = message;
  }
}
