package io.rasterflight;

/** A rectangle of pixels on each band's own grid. Parts outside the raster are cut off. */
public record Window(long colOff, long rowOff, long width, long height) {
  io.rasterflight.v1.Window message() {
    return io.rasterflight.v1.Window.newBuilder()
        .setColOff(colOff)
        .setRowOff(rowOff)
        .setWidth(width)
        .setHeight(height)
        .build();
  }
}
