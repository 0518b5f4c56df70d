package io.rasterflight;

import java.util.List;

/**
 * A band of a collection.
 *
 * @param name by which to ask for it
 * @param dtype pixel type of most files
 * @param aliases further names that it answers to
 * @param nodata as files declare it ({@code "0"}, {@code "nan"}); null: there is none
 * @param scale physical value = pixel * scale + offset, as the first file says; null: it says none
 * @param offset see scale
 * @param unit of physical values; null: not known
 * @param description null: there is none
 * @param classes values are names rather than amounts
 * @param resolution widths of pixels in units of their CRS, the most frequent first
 */
public record Band(
    String name,
    DType dtype,
    List<String> aliases,
    String nodata,
    Double scale,
    Double offset,
    String unit,
    String description,
    boolean classes,
    List<Double> resolution) {}
