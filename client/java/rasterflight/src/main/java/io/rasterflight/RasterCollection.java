package io.rasterflight;

import io.rasterflight.v1.ReadRequest;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * A collection of records, or a part of it, as it was when it was opened; made by {@link RasterflightClient#collection}, never
 * changed.
 */
public final class RasterCollection {
  private final RasterflightClient client;
  private final About about;
  private final Schema schema;
  private final List<Filter> filters;

  RasterCollection(RasterflightClient client, About about, Schema schema, List<Filter> filters) {
    this.client = client;
    this.about = about;
    this.schema = schema;
    this.filters = filters;
  }

  public String name() {
    return about.name();
  }

  /** What the server tells of it: extent, time, CRS, snapshot and more; of the whole, also for a part. */
  public About about() {
    return about;
  }

  public List<Band> bands() {
    return about.bands();
  }

  /**
   * A band by its name, or another name that it answers to.
   *
   * @throws BadRequestException there is none
   */
  public Band band(String name) {
    return bands().stream()
        .filter(band -> band.name().equals(name) || band.aliases().contains(name))
        .findFirst()
        .orElseThrow(
            () -> Failures.badRequest("bands", "the collection has no band '" + name + "', only "
                + String.join(", ", bands().stream().map(Band::name).toList())));
  }

  /** Schema of the records. */
  public Schema schema() {
    return schema;
  }

  /** The part for which these conditions hold too. */
  public RasterCollection subset(Filter... more) {
    return new RasterCollection(client, about, schema, Stream.concat(filters.stream(), Arrays.stream(more)).toList());
  }

  /** Finds out what a read would do; no pixel is fetched. */
  public Plan plan(Request request) {
    return client.plan(message(request), request.timeout());
  }

  /** Plans a read and starts it. */
  public ReadStream read(Request request) {
    return client.read(message(request), request.timeout());
  }

  /** Reads the records, a row each: see {@link ReadStream#rows()}. */
  public ReadStream records(Filter... more) {
    return read(Request.of().filters(more).layout(Layout.RECORDS));
  }

  /** Reads pixels at points: a sample per point, record and band; points outside of every record give none. */
  public List<Sample> samplePoints(Points points, String... bands) {
    try (ReadStream stream = read(Request.of(bands).points(points))) {
      return stream.samples().toList();
    }
  }

  /**
   * Reads pixels at any number of points: sets of them go up while samples come back, set by set, each in the order of a read; large
   * sets are cut. {@link Sample#pointIndex} goes on from set to set.
   *
   * <p>The sets are taken on a thread of their own, ahead of the samples. A connection that breaks ends the samples with an error:
   * points cannot be taken twice.
   *
   * @param sets all in one CRS, and with the same settings
   * @param request bands, filters and the rest; without areas, windows or points
   */
  public SampleStream sampleEach(Iterable<Points> sets, Request request) {
    Iterator<Points> coming = sets.iterator();
    if (!coming.hasNext()) {
      throw Failures.badRequest("points", "there is no set of points");
    }
    ReadRequest message = message(request);
    if (message.getWhereCase() != ReadRequest.WhereCase.WHERE_NOT_SET) {
      throw Failures.badRequest("where", "the request has areas, windows or points of its own");
    }
    Points first = coming.next();
    message = message.toBuilder().setPoints(Points.settings(first.message())).setLayout(Layout.POINTS.message).build();
    Stream<Points> rest = StreamSupport.stream(Spliterators.spliteratorUnknownSize(coming, 0), false);
    return client.exchange(message, Stream.concat(Stream.of(first), rest).iterator(), request.timeout());
  }

  /** The message that a request becomes, filters of this part included. */
  public ReadRequest message(Request request) {
    ReadRequest message = request.message(name());
    return message.toBuilder()
        .clearFilters()
        .addAllFilters(filters.stream().map(Filter::message).toList())
        .addAllFilters(message.getFiltersList())
        .build();
  }

  @Override
  public String toString() {
    return "RasterCollection[" + name() + ", " + about.records() + " records]";
  }
}
