package io.rasterflight.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/** The example prints the numbers of the Python client. */
@EnabledIfSystemProperty(named = "rasterflight.test", matches = ".+", disabledReason = "NO SERVER: run tests/integration/test_java.py")
class NdviPerPlotTest {
  @Test
  void numbersAreThoseOfPython(@TempDir Path folder) throws Exception {
    JsonNode facts = new ObjectMapper().readTree(new File(System.getProperty("rasterflight.test")));
    Path picture = folder.resolve("ndvi.png");
    String plots = "../../../tests/data/aoi/nyc-boroughs.geojson";
    List<String> printed = print(facts.required("url").asText(), "ny", plots, "BoroName", picture.toString());
    JsonNode expected = facts.required("ndvi");
    List<String> table = printed.subList(2, printed.size() - 1);
    assertEquals(expected.size(), table.size());
    for (int i = 0; i < table.size(); i++) {
      String[] cells = table.get(i).split(" {2,}");
      JsonNode row = expected.get(i);
      assertEquals(row.required("date").asText(), cells[0]);
      assertEquals(row.required("plot").asText(), cells[1]);
      for (int number = 0; number < 4; number++) {
        assertEquals(row.required("numbers").get(number).asDouble(), Double.parseDouble(cells[2 + number]), 6e-5, table.get(i));
      }
    }
    BufferedImage image = ImageIO.read(picture.toFile());
    Set<Integer> colours = new HashSet<>();
    for (int i = 0; i < image.getWidth() * image.getHeight(); i++) {
      colours.add(image.getRGB(i % image.getWidth(), i / image.getWidth()));
    }
    assertTrue(colours.size() > 100);
  }

  private static List<String> print(String... arguments) throws Exception {
    PrintStream usual = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      NdviPerPlot.main(arguments);
    } finally {
      System.setOut(usual);
    }
    return bytes.toString(StandardCharsets.UTF_8).lines().toList();
  }
}
