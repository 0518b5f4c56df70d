package io.rasterflight;

import java.time.Instant;

/**
 * The pixel of one band of one record that contains a point.
 *
 * @param pointIndex number of the point in the request, from 0
 * @param x as it was given
 * @param y as it was given
 * @param pointCrs EPSG code of the point; null: none says it
 * @param recordId id of the record
 * @param datetime time of the record; null: it has none
 * @param collection name of the collection
 * @param band name of the band
 * @param value NaN where it is null: the pixel is invalid, and the read masked
 * @param rasterCrs EPSG code of the raster; null: none says it
 * @param neighbourhood pixels around, row by row from the top left, NaN outside of the raster; null: not asked for
 */
public record Sample(
    long pointIndex,
    double x,
    double y,
    Integer pointCrs,
    String recordId,
    Instant datetime,
    String collection,
    String band,
    double value,
    Integer rasterCrs,
    double[] neighbourhood) {}
