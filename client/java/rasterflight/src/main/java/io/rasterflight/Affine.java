package io.rasterflight;

/** From the corner (column, row) of a pixel to its place: x = a * column + b * row + c, y = d * column + e * row + f. */
public record Affine(double a, double b, double c, double d, double e, double f) {
  public double x(double column, double row) {
    return a * column + b * row + c;
  }

  public double y(double column, double row) {
    return d * column + e * row + f;
  }
}
