package io.rasterflight;

import io.rasterflight.v1.DateRange;
import java.time.Instant;
import java.time.LocalDate;
import java.util.Collection;
import java.util.List;

/** A condition on records. */
public final class Filter {
  private final io.rasterflight.v1.Filter message;

  private Filter(io.rasterflight.v1.Filter.Builder message) {
    this.message = message.build();
  }

  /** Keeps records whose {@code eo:cloud_cover} (0 to 100) is below this. */
  public static Filter cloudCoverLt(double percent) {
    return new Filter(builder().setCloudCoverLt(percent));
  }

  /**
   * Keeps records between two dates or times (ISO 8601), both included. A date without a time covers its whole day (UTC), null is no
   * bound.
   */
  public static Filter dateRange(String start, String end) {
    if (start == null && end == null) {
      throw Failures.badRequest("date_range", "date_range has neither start nor end");
    }
    DateRange.Builder range = DateRange.newBuilder();
    return new Filter(builder().setDateRange(range.setStart(start == null ? "" : start).setEnd(end == null ? "" : end)));
  }

  /** Keeps records between two days, both included; null is no bound. */
  public static Filter dateRange(LocalDate start, LocalDate end) {
    return dateRange(text(start), text(end));
  }

  /** Keeps records between two times, both included; null is no bound. */
  public static Filter dateRange(Instant start, Instant end) {
    return dateRange(text(start), text(end));
  }

  /** Keeps records whose footprint intersects a box in lon/lat. */
  public static Filter bbox(double minx, double miny, double maxx, double maxy) {
    return new Filter(builder().setBbox(new BBox(minx, miny, maxx, maxy).message()));
  }

  /** Keeps records whose footprint intersects one of these areas. */
  public static Filter geometries(Geometries areas) {
    return new Filter(builder().setGeometries(areas.message()));
  }

  /** Keeps the records of these ids; each must exist. */
  public static Filter ids(String... ids) {
    return ids(List.of(ids));
  }

  /** Keeps the records of these ids; each must exist. */
  public static Filter ids(Collection<String> ids) {
    return new Filter(builder().addAllIds(some("ids", ids)));
  }

  /** Keeps records that have one of these values in a column. */
  public static Filter split(String column, String... values) {
    return new Filter(builder().setSplitColumn(column).addAllSplit(some("split", List.of(values))));
  }

  /**
   * Keeps records for which a CQL2 expression is true: text, or JSON. It may use any column of the records, such as {@code
   * "eo:cloud_cover" < 20 AND platform IN ('landsat-8', 'landsat-9')}.
   */
  public static Filter where(String cql2) {
    if (cql2.isBlank()) {
      throw Failures.badRequest("where", "where is empty");
    }
    return new Filter(builder().setWhere(cql2));
  }

  io.rasterflight.v1.Filter message() {
    return message;
  }

  private static io.rasterflight.v1.Filter.Builder builder() {
    return io.rasterflight.v1.Filter.newBuilder();
  }

  private static String text(Object time) {
    return time == null ? null : time.toString();
  }

  private static Collection<String> some(String name, Collection<String> values) {
    // on the wire, nothing would mean everything
    if (values.isEmpty()) {
      throw Failures.badRequest(name, name + " is empty");
    }
    return values;
  }
}
