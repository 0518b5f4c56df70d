package io.rasterflight;

import java.util.Arrays;

/** Places to take single pixels at, numbered from 0. In lon/lat, unless {@link #in} says otherwise. */
public final class Points {
  private final io.rasterflight.v1.Points message;

  private Points(io.rasterflight.v1.Points.Builder message) {
    this.message = message.build();
  }

  /** Points by their coordinates; as many x as y. */
  public static Points of(double[] x, double[] y) {
    if (x.length != y.length || x.length == 0) {
      throw Failures.badRequest("points", "there are " + x.length + " x and " + y.length + " y, expected as many, and at least one");
    }
    io.rasterflight.v1.Points.Builder builder = io.rasterflight.v1.Points.newBuilder().setCrs("OGC:CRS84");
    Arrays.stream(x).forEach(builder::addX);
    Arrays.stream(y).forEach(builder::addY);
    return new Points(builder);
  }

  /** One point. */
  public static Points of(double x, double y) {
    return of(new double[] {x}, new double[] {y});
  }

  /** The same coordinates, x before y, in another CRS. */
  public Points in(String crs) {
    return new Points(message.toBuilder().setCrs(crs));
  }

  public Points match(Match match) {
    return new Points(message.toBuilder().setMatch(match.message));
  }

  /** Where the pixel of a point is invalid, look for the nearest valid one so many columns and rows around. */
  public Points maxDistancePixels(int pixels) {
    return new Points(message.toBuilder().setMaxDistancePixels(pixels));
  }

  /** Which rows carry the pixels around the point, as far as {@link #maxDistancePixels}. */
  public Points neighbourhood(Neighbourhood neighbourhood) {
    return new Points(message.toBuilder().setNeighbourhood(neighbourhood.message));
  }

  io.rasterflight.v1.Points message() {
    return message;
  }

  /** All but the places. */
  static io.rasterflight.v1.Points settings(io.rasterflight.v1.Points points) {
    return points.toBuilder().clearX().clearY().build();
  }
}
