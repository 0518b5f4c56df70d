package io.rasterflight;

import com.google.protobuf.InvalidProtocolBufferException;
import io.rasterflight.v1.BandLevels;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.arrow.flight.FlightEndpoint;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.Location;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * What a server found out about a read before it fetched a pixel.
 *
 * @param snapshot of the index that the plan was made on; the endpoints are pinned to it
 * @param records that take part
 * @param chips pairs of record and area that overlap
 * @param rows that the read will give; -1: not known before
 * @param tiles distinct TIFF tiles under the windows
 * @param bytesToFetch bytes of these tiles as stored
 * @param bytesToReceive bytes of pixels that the stream will carry
 * @param crs of the rasters that take part
 * @param levels of the files that resampled bands are read from; 0: full resolution, n: the n-th overview
 * @param endpoints parts of the read that can be taken in parallel; in order, they are the read
 * @param schema of the rows
 */
public record Plan(
    String snapshot,
    long records,
    long chips,
    long rows,
    long tiles,
    long bytesToFetch,
    long bytesToReceive,
    List<String> crs,
    Map<String, List<Integer>> levels,
    List<Endpoint> endpoints,
    Schema schema) {

  static Plan from(FlightInfo info, String url) {
    io.rasterflight.v1.Plan told;
    try {
      told = io.rasterflight.v1.Plan.parseFrom(info.getAppMetadata());
    } catch (InvalidProtocolBufferException error) {
      throw Failures.protocol(url, "it sent no plan", error);
    }
    return new Plan(
        told.getSnapshot(),
        told.getRecords(),
        told.getChips(),
        told.getRows(),
        told.getTiles(),
        told.getBytesToFetch(),
        told.getBytesToReceive(),
        List.copyOf(told.getCrsList()),
        told.getLevelsList().stream().collect(Collectors.toMap(BandLevels::getBand, BandLevels::getLevelsList)),
        info.getEndpoints().stream().map(Plan::endpoint).toList(),
        schema(info, url));
  }

  static Schema schema(FlightInfo info, String url) {
    return info.getSchemaOptional().orElseThrow(() -> Failures.protocol(url, "it sent no schema", null));
  }

  private static Endpoint endpoint(FlightEndpoint told) {
    List<String> locations = told.getLocations().stream().map(Location::getUri).map(Object::toString).toList();
    return new Endpoint(told.getTicket().getBytes(), locations, told.getExpirationTime().orElse(null));
  }
}
