package io.rasterflight;

import java.util.List;

/** A grid that pixels are put on; b and d of its transform are 0. */
public record TargetGrid(String crs, Affine transform, long width, long height) {
  io.rasterflight.v1.TargetGrid message() {
    Affine t = transform;
    return io.rasterflight.v1.TargetGrid.newBuilder()
        .setCrs(crs)
        .addAllTransform(List.of(t.a(), t.b(), t.c(), t.d(), t.e(), t.f()))
        .setWidth(width)
        .setHeight(height)
        .build();
  }
}
