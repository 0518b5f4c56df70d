package io.rasterflight.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/** The page in docs/: its Java compiles, runs, and prints what the page says it prints. */
@EnabledIfSystemProperty(named = "rasterflight.url", matches = "grpc.+", disabledReason = "NO SERVER: -Drasterflight.url=grpc://...")
class PageTest {
  private static final Path PAGE = Path.of("../../../docs/java.md");
  /** Between the outputs of two blocks. */
  private static final String MARK = "\u001e";

  private static final String REST = "      // the other pieces of this page go on here";

  /** Java of the page, and what is said to come of it; null: nothing is said. */
  private record Block(String code, String output) {}

  @Test
  void thePageIsTrue(@TempDir Path folder) throws Exception {
    List<Block> blocks = blocks();
    assertTrue(blocks.size() > 5);
    StringBuilder imports = new StringBuilder();
    StringBuilder rest = new StringBuilder();
    for (Block block : blocks.subList(1, blocks.size())) {
      rest.append("System.out.print(\"").append("\\u001e").append("\");\n");
      block.code().lines().forEach(line -> (line.startsWith("import ") ? imports : rest).append(line).append('\n'));
    }
    String first = blocks.get(0).code();
    assertTrue(first.contains(REST));
    Path source = folder.resolve("First.java");
    Files.writeString(source, imports + first.replace(REST, rest));
    String[] outputs = run(source).split(MARK, -1);
    assertEquals(blocks.size(), outputs.length);
    for (int i = 0; i < outputs.length; i++) {
      String expected = blocks.get(i).output();
      assertEquals(expected == null ? "" : expected, outputs[i], blocks.get(i).code());
    }
  }

  private static String run(Path source) throws IOException, InterruptedException {
    ProcessBuilder command =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "-classpath",
            System.getProperty("java.class.path"),
            source.toString());
    command.environment().put("RASTERFLIGHT_URL", System.getProperty("rasterflight.url"));
    Process process = command.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return output;
  }

  private static List<Block> blocks() throws IOException {
    List<Block> found = new ArrayList<>();
    String language = null;
    StringBuilder text = new StringBuilder();
    for (String line : Files.readAllLines(PAGE)) {
      if (!line.startsWith("```")) {
        text.append(line).append('\n');
      } else if (language == null) {
        language = line.substring(3);
        text.setLength(0);
      } else {
        if (language.equals("java")) {
          found.add(new Block(text.toString(), null));
        } else if (language.equals("text")) {
          Block last = found.remove(found.size() - 1);
          found.add(new Block(last.code(), text.toString()));
        }
        language = null;
      }
    }
    return found;
  }
}
