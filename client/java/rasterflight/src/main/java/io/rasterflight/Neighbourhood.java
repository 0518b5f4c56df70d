package io.rasterflight;

/** Which rows carry the pixels around the point. */
public enum Neighbourhood {
  /** None. The default. */
  OFF(io.rasterflight.v1.Neighbourhood.NEIGHBOURHOOD_OFF),
  ALWAYS(io.rasterflight.v1.Neighbourhood.NEIGHBOURHOOD_ALWAYS),
  IF_CENTER_NODATA(io.rasterflight.v1.Neighbourhood.NEIGHBOURHOOD_IF_CENTER_NODATA);

  final io.rasterflight.v1.Neighbourhood message;

  Neighbourhood(io.rasterflight.v1.Neighbourhood message) {
    this.message = message;
  }
}
