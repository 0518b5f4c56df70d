package io.rasterflight;

import com.google.protobuf.ByteString;
import io.rasterflight.v1.BBoxes;
import io.rasterflight.v1.WkbList;
import java.util.Collection;
import java.util.List;

/** Areas, numbered from 1 in the order given: boxes, or polygons and multipolygons. In lon/lat, unless {@link #in} says otherwise. */
public final class Geometries {
  private static final String LON_LAT = "OGC:CRS84";

  private final io.rasterflight.v1.Geometries message;
  private final int size;

  private Geometries(io.rasterflight.v1.Geometries message, int size) {
    this.message = message;
    this.size = size;
  }

  public static Geometries bboxes(BBox... boxes) {
    return bboxes(List.of(boxes));
  }

  public static Geometries bboxes(Collection<BBox> boxes) {
    some(boxes);
    BBoxes.Builder values = BBoxes.newBuilder();
    boxes.forEach(box -> values.addValues(box.message()));
    return new Geometries(io.rasterflight.v1.Geometries.newBuilder().setCrs(LON_LAT).setBboxes(values).build(), boxes.size());
  }

  /** Areas as ISO WKB or EWKB, as JTS and every database write it; an SRID inside is ignored. */
  public static Geometries wkb(byte[]... areas) {
    return wkb(List.of(areas));
  }

  /** Areas as ISO WKB or EWKB, as JTS and every database write it; an SRID inside is ignored. */
  public static Geometries wkb(Collection<byte[]> areas) {
    some(areas);
    WkbList.Builder values = WkbList.newBuilder();
    areas.forEach(area -> values.addValues(ByteString.copyFrom(area)));
    return new Geometries(io.rasterflight.v1.Geometries.newBuilder().setCrs(LON_LAT).setWkb(values).build(), areas.size());
  }

  /** Areas as GeoJSON has them: a FeatureCollection, a Feature, a Polygon or a MultiPolygon; Z is left behind. */
  public static Geometries geoJson(String text) {
    return wkb(GeoJson.areas(text));
  }

  /** How many there are. */
  public int size() {
    return size;
  }

  /** The same coordinates, x before y, in another CRS: anything PROJ understands, such as {@code "EPSG:32618"}. */
  public Geometries in(String crs) {
    return new Geometries(message.toBuilder().setCrs(crs).build(), size);
  }

  io.rasterflight.v1.Geometries message() {
    return message;
  }

  /** The same areas, which are kept by the server under this id. */
  Geometries uploaded(String id) {
    return new Geometries(message.toBuilder().setUpload(id).build(), size);
  }

  private static void some(Collection<?> areas) {
    // on the wire, nothing would mean everything
    if (areas.isEmpty()) {
      throw Failures.badRequest("geometries", "geometries is empty");
    }
  }
}
