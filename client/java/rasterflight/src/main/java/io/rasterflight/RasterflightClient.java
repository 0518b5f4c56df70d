package io.rasterflight;

import io.rasterflight.v1.ReadRequest;
import io.rasterflight.v1.Upload;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;

/**
 * A connection to a rasterflight server; safe to share between threads, to be closed at the end.
 *
 * <pre>{@code
 * try (RasterflightClient client = RasterflightClient.connect("grpc://127.0.0.1:8815");
 *     ReadStream stream = client.collection("ny").read(Request.of("red").bbox(-74.1, 40.5, -73.7, 40.9))) {
 *   for (Chip chip : stream.chips()) {
 *     short[] red = chip.pixels("red").shorts();
 *   }
 * }
 * }</pre>
 *
 * <p>Calls throw {@link RasterflightException} and its subclasses. A thread that is interrupted while it waits has a {@link
 * CancelledException}, and stays interrupted.
 */
public final class RasterflightClient implements AutoCloseable {
  private static final String DEFAULT_URL = "grpc://127.0.0.1:8815";

  private final Connection connection;

  private RasterflightClient(Connection connection) {
    this.connection = connection;
  }

  /** Connects to the server named by the environment variable {@code RASTERFLIGHT_URL}, or {@code grpc://127.0.0.1:8815}. */
  public static RasterflightClient connect() {
    return connect(ConnectOptions.variable("RASTERFLIGHT_URL").orElse(DEFAULT_URL));
  }

  public static RasterflightClient connect(String url) {
    return connect(url, ConnectOptions.defaults());
  }

  /**
   * Connects to a server, and asks whether it is there and takes the token.
   *
   * @param url {@code grpc://host:port}, {@code grpc+tcp://host:port}, {@code grpc+tls://host:port} or {@code grpc+unix:///path/to/socket}
   * @throws BadRequestException the URL or an option cannot be used
   * @throws ServerUnavailableException no server answers
   * @throws AccessException the server does not let this caller in
   */
  public static RasterflightClient connect(String url, ConnectOptions options) {
    RasterflightClient client = new RasterflightClient(new Connection(url, options));
    try {
      client.healthcheck();
    } catch (RuntimeException | Error error) {
      client.close();
      throw error;
    }
    return client;
  }

  /** Where the server is. */
  public String url() {
    return connection.url;
  }

  /** Lists the collections. */
  public List<About> collections() {
    return connection.call(
        timeout(null),
        (flight, options) -> {
          List<About> found = new ArrayList<>();
          flight.listFlights(Criteria.ALL, options).forEach(info -> found.add(About.parse(info.getAppMetadata(), url())));
          return List.copyOf(found);
        });
  }

  /**
   * Opens a collection.
   *
   * @throws NotFoundException there is none of this name; lists what there is
   */
  public RasterCollection collection(String name) {
    FlightInfo info = info(FlightDescriptor.path(name), timeout(null));
    return new RasterCollection(this, About.parse(info.getAppMetadata(), url()), Plan.schema(info, url()), List.of());
  }

  /**
   * Sends areas up, for requests to refer to by {@link UploadedAreas#geometries}: they then travel once, however many plans and reads
   * use them. A single read needs none: it sends areas of more than 1 MiB up by itself.
   *
   * <p>An area that cannot be used is found out by the request that uses it.
   *
   * @throws BadRequestException a box crosses the antimeridian, which goes with the request
   * @throws ServerUnavailableException the server has no room for them, or does not answer
   */
  public UploadedAreas upload(Geometries areas) {
    if (areas.message().hasUpload()) {
      throw Failures.badRequest("geometries", "these areas have been sent up already");
    }
    if (AreaUpload.crosses(areas.message())) {
      throw Failures.badRequest("geometries", "a box with minx > maxx goes with the request; it cannot be sent up");
    }
    Upload answer = new AreaUpload(connection, areas.message()).send(timeout(null));
    Instant expires = Instant.ofEpochSecond(answer.getExpires().getSeconds(), answer.getExpires().getNanos());
    return new UploadedAreas(this, answer.getId(), expires, areas.uploaded(answer.getId()));
  }

  /** Finds out what a read would do, given as a message. {@link RasterCollection#plan} is the easier way. */
  public Plan plan(ReadRequest request) {
    return plan(request, null);
  }

  /** Finds out what a ticket would do: one of another client, or one in JSON. */
  public Plan plan(byte[] ticket) {
    return plan(ticket, (Duration) null);
  }

  /** The same in a time of its own; null: that of the client. */
  public Plan plan(byte[] ticket, Duration timeout) {
    return plan(ticket, timeout(timeout));
  }

  /** Plans a read and starts it, given as a message. {@link RasterCollection#read} is the easier way. */
  public ReadStream read(ReadRequest request) {
    return read(request, null);
  }

  /** Plans a read and starts it, given as a ticket: of another client, or in JSON. */
  public ReadStream read(byte[] ticket) {
    Timeout timeout = timeout(null);
    return new ReadStream(connection, plan(ticket, timeout), SentRequest.nothing(connection), timeout);
  }

  /** Starts a read that was planned before. */
  public ReadStream read(Plan plan) {
    return read(plan, null);
  }

  /** The same in a time of its own; null: that of the client. */
  public ReadStream read(Plan plan, Duration timeout) {
    return new ReadStream(connection, plan, SentRequest.nothing(connection), timeout(timeout));
  }

  /** Runs an action of the server, such as {@code "stats"} or {@code "collection.refresh"}, and gives its answer, mostly JSON. */
  public String action(String name, byte[] body) {
    return connection.call(
        timeout(null),
        (flight, options) -> {
          ByteArrayOutputStream answer = new ByteArrayOutputStream();
          flight.doAction(new Action(name, body), options).forEachRemaining(result -> answer.writeBytes(result.getBody()));
          return answer.toString(StandardCharsets.UTF_8);
        });
  }

  /** Asks the server how it is, and gives its answer as JSON. */
  public String healthcheck() {
    return action("healthcheck", new byte[0]);
  }

  /** Closes the connection; running streams end with it. */
  @Override
  public void close() {
    connection.close();
  }

  Plan plan(ReadRequest request, Duration timeout) {
    return plan(ticket(request), timeout(timeout));
  }

  ReadStream read(ReadRequest request, Duration duration) {
    Timeout timeout = timeout(duration);
    SentRequest sent = SentRequest.send(connection, request, timeout);
    try {
      return new ReadStream(connection, plan(sent, timeout), sent, timeout);
    } catch (RuntimeException | Error error) {
      sent.close();
      throw error;
    }
  }

  SampleStream exchange(ReadRequest request, Iterator<Points> sets, Duration duration) {
    PointExchange exchange = PointExchange.open(connection, compressed(request), timeout(duration));
    SampleStream stream = new SampleStream(connection, exchange);
    exchange.send(sets, request.getPoints());
    return stream;
  }

  private Plan plan(SentRequest sent, Timeout timeout) {
    try {
      return plan(ticket(sent.message()), timeout);
    } catch (NotFoundException error) {
      if (sent.isLost(error)) {
        return plan(ticket(sent.original()), timeout);
      }
      throw error;
    }
  }

  private byte[] ticket(ReadRequest request) {
    return Request.ticket(compressed(request));
  }

  private ReadRequest compressed(ReadRequest request) {
    Compression usual = connection.options.compression;
    boolean isSaid = usual == null || request.getCompressionValue() != 0;
    return isSaid ? request : request.toBuilder().setCompression(usual.message).build();
  }

  private Plan plan(byte[] ticket, Timeout timeout) {
    return Plan.from(info(FlightDescriptor.command(ticket), timeout), url());
  }

  private FlightInfo info(FlightDescriptor descriptor, Timeout timeout) {
    return connection.call(timeout, (flight, options) -> flight.getInfo(descriptor, options));
  }

  private Timeout timeout(Duration timeout) {
    return Timeout.of(timeout == null ? connection.options.timeout : timeout);
  }
}
