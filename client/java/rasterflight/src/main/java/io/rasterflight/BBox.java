package io.rasterflight;

/** A box; in degrees of longitude, one with minx &gt; 0 &gt; maxx crosses the antimeridian. */
public record BBox(double minx, double miny, double maxx, double maxy) {
  io.rasterflight.v1.BBox message() {
    return io.rasterflight.v1.BBox.newBuilder().setMinx(minx).setMiny(miny).setMaxx(maxx).setMaxy(maxy).build();
  }
}
