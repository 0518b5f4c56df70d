package io.rasterflight;

import java.nio.charset.StandardCharsets;
import java.time.Instant;

/**
 * Areas that the server keeps for requests to come, until they are closed; made by {@link RasterflightClient#upload}. Only requests of the
 * caller who sent them up may refer to them.
 */
public final class UploadedAreas implements AutoCloseable {
  private final RasterflightClient client;
  private final String id;
  private final Instant expires;
  private final Geometries geometries;

  UploadedAreas(RasterflightClient client, String id, Instant expires, Geometries geometries) {
    this.client = client;
    this.id = id;
    this.expires = expires;
    this.geometries = geometries;
  }

  /** What the server calls them. */
  public String id() {
    return id;
  }

  /** When they are forgotten, if no request refers to them before; each that does gives them more time. */
  public Instant expires() {
    return expires;
  }

  /** The areas, to be used in requests of this client. */
  public Geometries geometries() {
    return geometries;
  }

  /** Lets the server forget them now. */
  @Override
  public void close() {
    client.action("upload.drop", id.getBytes(StandardCharsets.UTF_8));
  }
}
