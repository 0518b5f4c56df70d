package io.rasterflight.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.rasterflight.BBox;
import io.rasterflight.Chip;
import io.rasterflight.Geometries;
import io.rasterflight.RasterCollection;
import io.rasterflight.RasterflightClient;
import io.rasterflight.ReadStream;
import io.rasterflight.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;

/**
 * Prints statistics of NDVI per plot and date, and draws a map of each date.
 *
 * <p>Arguments: URL of the server, name of the collection, GeoJSON of the plots, property that names them, file for the picture. The
 * plots are read on the grid of the files for the numbers, and the region around them in lon/lat for the maps.
 */
public final class NdviPerPlot {
  private static final String RED = "red";
  private static final String NIR = "nir08";

  private NdviPerPlot() {}

  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 5) {
      System.err.println("expected: URL COLLECTION PLOTS.geojson PROPERTY PICTURE.png");
      System.exit(2);
    }
    Plots plots = Plots.read(Path.of(arguments[2]), arguments[3]);
    try (RasterflightClient client = RasterflightClient.connect(arguments[0])) {
      RasterCollection collection = client.collection(arguments[1]);
      printTable(collection, plots);
      Path picture = Path.of(arguments[4]);
      draw(collection, plots, picture);
      System.out.println("picture: " + picture);
    }
  }

  private static void printTable(RasterCollection collection, Plots plots) {
    try (ReadStream stream = collection.read(Request.of(RED, NIR).geometries(plots.areas()).masked())) {
      System.out.printf("%d chips of %d records%n", stream.plan().chips(), stream.plan().records());
      System.out.printf("%-10s  %-13s  %6s  %7s  %7s  %7s%n", "date", "plot", "pixels", "mean", "min", "max");
      for (Chip chip : stream.chips()) {
        DoubleSummaryStatistics ndvi = DoubleStream.of(ndvi(chip)).filter(Double::isFinite).summaryStatistics();
        if (ndvi.getCount() > 0) { // else outside of the part of the scene that holds data
          System.out.printf(
              Locale.ROOT,
              "%s  %-13s  %6d  %7.4f  %7.4f  %7.4f%n",
              date(chip), plots.names().get((int) (chip.geometryId() - 1)), ndvi.getCount(), ndvi.getAverage(), ndvi.getMin(), ndvi.getMax());
        }
      }
    }
  }

  private static void draw(RasterCollection collection, Plots plots, Path picture) throws IOException {
    BBox around = plots.bounds();
    Request request =
        Request.of(RED, NIR)
            .bbox(around.minx() - 0.1, around.miny() - 0.1, around.maxx() + 0.1, around.maxy() + 0.1)
            .targetCrs("OGC:CRS84")
            .resolution(0.01)
            .wholeAreas()
            .masked();
    List<NdviPicture.Map> maps = new ArrayList<>();
    try (ReadStream stream = collection.read(request)) {
      for (Chip chip : stream.chips()) {
        maps.add(new NdviPicture.Map(date(chip).toString(), chip.transform(), chip.height(), chip.width(), ndvi(chip)));
      }
    }
    NdviPicture.draw(maps, plots.rings(), picture);
  }

  /** (nir - red) / (nir + red), NaN where one of them is invalid. */
  static double[] ndvi(Chip chip) {
    double[] red = chip.pixels(RED).toDoubles();
    double[] nir = chip.pixels(NIR).toDoubles();
    for (int i = 0; i < red.length; i++) {
      nir[i] = (nir[i] - red[i]) / (nir[i] + red[i]);
    }
    return nir;
  }

  private static LocalDate date(Chip chip) {
    return LocalDate.ofInstant(chip.datetime(), ZoneOffset.UTC);
  }

  /**
   * Areas with names.
   *
   * @param rings corners of all rings, in lon/lat
   */
  record Plots(Geometries areas, List<String> names, List<double[][]> rings) {
    static Plots read(Path file, String property) throws IOException {
      String text = Files.readString(file);
      List<String> names = new ArrayList<>();
      List<double[][]> rings = new ArrayList<>();
      for (JsonNode feature : new ObjectMapper().readTree(text).path("features")) {
        names.add(feature.path("properties").path(property).asText());
        collect(feature.path("geometry").path("coordinates"), rings);
      }
      return new Plots(Geometries.geoJson(text), names, rings);
    }

    BBox bounds() {
      DoubleSummaryStatistics x = rings.stream().flatMap(Arrays::stream).mapToDouble(corner -> corner[0]).summaryStatistics();
      DoubleSummaryStatistics y = rings.stream().flatMap(Arrays::stream).mapToDouble(corner -> corner[1]).summaryStatistics();
      return new BBox(x.getMin(), y.getMin(), x.getMax(), y.getMax());
    }

    /** Takes the rings out of coordinates, however deep they lie. */
    private static void collect(JsonNode coordinates, List<double[][]> rings) {
      if (!coordinates.path(0).path(0).isNumber()) {
        coordinates.forEach(part -> collect(part, rings));
        return;
      }
      double[][] ring = new double[coordinates.size()][];
      for (int i = 0; i < ring.length; i++) {
        ring[i] = new double[] {coordinates.get(i).get(0).asDouble(), coordinates.get(i).get(1).asDouble()};
      }
      rings.add(ring);
    }
  }
}
