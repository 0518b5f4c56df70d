package io.rasterflight.examples;

import io.rasterflight.Affine;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.AffineTransform;
import java.awt.geom.Path2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;

/** Maps of NDVI side by side, with outlines over them and a scale below. */
final class NdviPicture {
  private static final int PIXEL = 3;
  private static final int GAP = 16;
  private static final int LINE = 22;
  private static final int IN_A_ROW = 3;
  private static final double LOWEST = -0.2;
  private static final double HIGHEST = 0.6;
  // water, bare, green
  private static final Color[] COLOURS = {new Color(0x3b6fa0), new Color(0xf3ead3), new Color(0x1e6b30)};
  private static final Color UNSEEN = new Color(0xe4e4e4);

  private NdviPicture() {}

  /** NDVI, row by row, where the transform says. */
  record Map(String title, Affine transform, int height, int width, double[] values) {}

  static void draw(List<Map> maps, List<double[][]> rings, Path file) throws IOException {
    int wide = maps.stream().mapToInt(Map::width).max().orElse(1) * PIXEL + GAP;
    int high = maps.stream().mapToInt(Map::height).max().orElse(1) * PIXEL + GAP + LINE;
    int columns = Math.min(IN_A_ROW, maps.size());
    int lines = (maps.size() + columns - 1) / columns;
    BufferedImage image = new BufferedImage(wide * columns + GAP, high * lines + GAP + 2 * LINE, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = image.createGraphics();
    graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    graphics.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 14));
    graphics.setColor(Color.WHITE);
    graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
    for (int i = 0; i < maps.size(); i++) {
      drawMap((Graphics2D) graphics.create(), maps.get(i), rings, GAP + i % columns * wide, GAP + i / columns * high);
    }
    drawScale(graphics, GAP, high * lines + GAP);
    graphics.dispose();
    ImageIO.write(image, "png", file.toFile());
  }

  private static void drawMap(Graphics2D graphics, Map map, List<double[][]> rings, int left, int top) {
    graphics.setColor(Color.BLACK);
    graphics.drawString("NDVI " + map.title(), left, top + LINE - 8);
    graphics.translate(left, top + LINE);
    graphics.clipRect(0, 0, map.width() * PIXEL, map.height() * PIXEL);
    for (int i = 0; i < map.values().length; i++) {
      graphics.setColor(colour(map.values()[i]));
      graphics.fillRect(i % map.width() * PIXEL, i / map.width() * PIXEL, PIXEL, PIXEL);
    }
    Affine t = map.transform();
    AffineTransform toPixels = AffineTransform.getScaleInstance(PIXEL / t.a(), PIXEL / t.e());
    toPixels.translate(-t.c(), -t.f());
    graphics.setColor(Color.BLACK);
    graphics.setStroke(new BasicStroke(1));
    for (double[][] ring : rings) {
      Path2D path = new Path2D.Double();
      path.moveTo(ring[0][0], ring[0][1]);
      for (double[] corner : ring) {
        path.lineTo(corner[0], corner[1]);
      }
      graphics.draw(toPixels.createTransformedShape(path));
    }
    graphics.dispose();
  }

  private static void drawScale(Graphics2D graphics, int left, int top) {
    int length = 240;
    for (int x = 0; x < length; x++) {
      graphics.setColor(colour(LOWEST + (HIGHEST - LOWEST) * x / length));
      graphics.fillRect(left + x, top, 1, LINE / 2);
    }
    graphics.setColor(Color.BLACK);
    graphics.drawString(String.valueOf(LOWEST), left, top + LINE + 8);
    graphics.drawString(String.valueOf(HIGHEST), left + length - LINE, top + LINE + 8);
    graphics.setColor(UNSEEN);
    graphics.fillRect(left + length + 2 * GAP, top, LINE, LINE / 2);
    graphics.setColor(Color.BLACK);
    graphics.drawString("no data", left + length + 2 * GAP + LINE + 8, top + LINE / 2);
  }

  private static Color colour(double ndvi) {
    if (Double.isNaN(ndvi)) {
      return UNSEEN;
    }
    double place = Math.max(0, Math.min(1, (ndvi - LOWEST) / (HIGHEST - LOWEST))) * (COLOURS.length - 1);
    int lower = Math.min((int) place, COLOURS.length - 2);
    Color from = COLOURS[lower];
    Color to = COLOURS[lower + 1];
    double part = place - lower;
    return new Color(
        mixed(from.getRed(), to.getRed(), part), mixed(from.getGreen(), to.getGreen(), part), mixed(from.getBlue(), to.getBlue(), part));
  }

  private static int mixed(int from, int to, double part) {
    return (int) Math.round(from + (to - from) * part);
  }
}
