package io.rasterflight;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.rasterflight.v1.GridOptions;
import io.rasterflight.v1.OnError;
import io.rasterflight.v1.ReadRequest;
import io.rasterflight.v1.Values;
import io.rasterflight.v1.Windows;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/**
 * What to read of a collection. What is not said has its default; each method changes this request and gives it back.
 *
 * <pre>{@code
 * Request.of("red", "nir08").bbox(-74.1, 40.5, -73.7, 40.9).masked()
 * }</pre>
 *
 * Without areas, windows or points, the whole of each record is read.
 */
public final class Request {
  private final ReadRequest.Builder message = ReadRequest.newBuilder();
  private final GridOptions.Builder grid = GridOptions.newBuilder();
  private Duration timeout;

  private Request() {}

  /** Asks for bands, in the order in which they come back; none are needed for records alone. */
  public static Request of(String... bands) {
    Request request = new Request();
    request.message.addAllBands(List.of(bands));
    return request;
  }

  /** Cuts this box out of each record, in lon/lat. */
  public Request bbox(double minx, double miny, double maxx, double maxy) {
    return geometries(Geometries.bboxes(new BBox(minx, miny, maxx, maxy)));
  }

  /** Cuts these areas out of each record. */
  public Request geometries(Geometries areas) {
    nowhereYet();
    message.setGeometries(areas.message());
    return this;
  }

  /** Cuts these windows out of each record. */
  public Request windows(Window... windows) {
    return windows(List.of(windows));
  }

  /** Cuts these windows out of each record. */
  public Request windows(List<Window> windows) {
    nowhereYet();
    if (windows.isEmpty()) {
      throw Failures.badRequest("windows", "windows is empty");
    }
    message.setWindows(Windows.newBuilder().addAllValues(windows.stream().map(Window::message).toList()));
    return this;
  }

  /** Takes single pixels at these points, a row each: see {@link ReadStream#points()}. */
  public Request points(Points points) {
    nowhereYet();
    message.setPoints(points.message()).setLayout(Layout.POINTS.message);
    return this;
  }

  /** Adds conditions on the records, on top of those of the collection. */
  public Request filters(Filter... filters) {
    Arrays.stream(filters).map(Filter::message).forEach(message::addFilters);
    return this;
  }

  /** Keeps every pixel that an area touches, instead of those whose centre lies inside. */
  public Request allTouched() {
    grid.setAllTouched(true);
    return this;
  }

  /** Tells invalid pixels, as rasterio's {@code read_masks} does, and those outside of the area: see {@link Pixels#isValid}. */
  public Request masked() {
    grid.setMasked(true);
    return this;
  }

  /** Gives pixel * scale + offset, each record by its own, as float32 or float64; invalid pixels are NaN. */
  public Request scaled() {
    grid.setValues(Values.VALUES_SCALED);
    return this;
  }

  /** CRS of the pixels, instead of each record's own. */
  public Request targetCrs(String crs) {
    grid.setTargetCrs(crs);
    return common();
  }

  /** Size of the pixels in units of their CRS: one number, or x and y. */
  public Request resolution(double... size) {
    Arrays.stream(size).forEach(grid::addResolution);
    return common();
  }

  /** How pixels of another grid are made: bilinear unless said, but nearest for bands whose values are classes. */
  public Request resampling(Resampling resampling) {
    grid.setResampling(resampling.message);
    return this;
  }

  /** The same for a single band. */
  public Request resampling(String band, Resampling resampling) {
    grid.putBandResampling(band, resampling.message);
    return this;
  }

  /** Extent of the grid in its CRS; its upper left corner is a corner of a pixel. */
  public Request bounds(BBox bounds) {
    grid.setBounds(bounds.message());
    return common();
  }

  /** Instead, any corner of pixels: one number, or x and y; 0 snaps to multiples of the resolution. */
  public Request align(double... corner) {
    Arrays.stream(corner).forEach(grid::addAnchor);
    return common();
  }

  /** The grid itself. */
  public Request like(TargetGrid target) {
    grid.setGrid(target.message());
    return common();
  }

  /** Puts all pixels on one grid, that of most of the records unless another method says which. */
  public Request common() {
    grid.setCommon(true);
    return this;
  }

  /** Makes chips cover all of their area, also where the record ends. */
  public Request wholeAreas() {
    grid.setWholeAreas(true);
    return this;
  }

  /** Cuts chips off at these bounds, in the CRS of the pixels. */
  public Request part(BBox bounds) {
    grid.setPart(bounds.message());
    return this;
  }

  public Request layout(Layout layout) {
    message.setLayout(layout.message);
    return this;
  }

  /** Columns that come back, in this order; bands that are not among them are not read. Not for points. */
  public Request columns(String... names) {
    message.addAllColumns(List.of(names));
    return this;
  }

  /** Only these of the areas or windows, by their numbers; they keep them. */
  public Request geometryIds(long... ids) {
    Arrays.stream(ids).forEach(message::addGeometryIds);
    return this;
  }

  /** Goes on without records that cannot be read, and {@link ReadStream#skipped()} tells them; else the first ends the read. */
  public Request skipErrors() {
    message.setOnError(OnError.ON_ERROR_SKIP);
    return this;
  }

  public Request compression(Compression compression) {
    message.setCompression(compression.message);
    return this;
  }

  /** Size of a record batch to aim at, at most 8 MiB; else the server's choice. */
  public Request batchBytes(long bytes) {
    message.setBatchBytes(bytes);
    return this;
  }

  /** Snapshot of the index that must answer; else the one being served. */
  public Request snapshot(String snapshot) {
    message.setSnapshot(snapshot);
    return this;
  }

  /** Time that the read may take as a whole; else that of the client. */
  public Request timeout(Duration timeout) {
    this.timeout = timeout;
    return this;
  }

  Duration timeout() {
    return timeout;
  }

  /** Writes the request down as it goes to the server. */
  public ReadRequest message(String collection) {
    ReadRequest.Builder written = message.build().toBuilder().setCollection(collection);
    if (!grid.build().equals(GridOptions.getDefaultInstance())) {
      written.setGrid(grid);
    }
    return written.build();
  }

  /** Writes a message as the bytes of a Flight ticket, or of the command of a descriptor. */
  public static byte[] ticket(ReadRequest message) {
    ByteString value = Deterministic.bytes(message);
    String type = "type.googleapis.com/" + ReadRequest.getDescriptor().getFullName();
    return Any.newBuilder().setTypeUrl(type).setValue(value).build().toByteArray();
  }

  /** Reads what {@link #ticket} wrote. */
  static ReadRequest parse(byte[] ticket) throws InvalidProtocolBufferException {
    return Any.parseFrom(ticket).unpack(ReadRequest.class);
  }

  private void nowhereYet() {
    if (message.getWhereCase() != ReadRequest.WhereCase.WHERE_NOT_SET) {
      throw Failures.badRequest("where", "of areas, windows and points more than one is given");
    }
  }
}
