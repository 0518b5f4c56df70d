package io.rasterflight;

import java.time.Instant;
import java.util.Map;

/**
 * The pixels of one record under one area; bands on another grid make a chip of their own. It belongs to the caller: no memory of
 * Arrow is behind it.
 *
 * @param recordId id of the record
 * @param datetime time of the record; null: it has none
 * @param cloudCover the record's {@code eo:cloud_cover}, 0 to 100; null: not known
 * @param collection name of the collection
 * @param geometryId number of the area or window in the request, from 1; null: the whole record
 * @param crs of the pixels; null: not known
 * @param transform where the pixels are in the CRS; null: not known
 * @param height rows of pixels
 * @param width columns of pixels
 * @param bands pixels by the name of the band, in the order asked for
 */
public record Chip(
    String recordId,
    Instant datetime,
    Double cloudCover,
    String collection,
    Long geometryId,
    String crs,
    Affine transform,
    int height,
    int width,
    Map<String, Pixels> bands) {

  /**
   * Pixels of a band.
   *
   * @throws BadRequestException the chip has no such band, since it was not asked for or lies on another grid
   */
  public Pixels pixels(String band) {
    Pixels found = bands.get(band);
    if (found == null) {
      throw Failures.badRequest("bands", "the chip has no band '" + band + "', only " + String.join(", ", bands.keySet()));
    }
    return found;
  }
}
