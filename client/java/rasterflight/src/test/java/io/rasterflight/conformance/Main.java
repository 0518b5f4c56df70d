package io.rasterflight.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;

/**
 * Plays golden vectors against a server, one verdict a line.
 *
 * <p>Arguments: {@code --url URL --vectors FILE [--only NAME]}.
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    List<String> given = List.of(arguments);
    String only = after(given, "--only");
    boolean failed = false;
    try (BufferAllocator allocator = new RootAllocator();
        Runner runner = new Runner(after(given, "--url"), allocator)) {
      ObjectMapper json = new ObjectMapper();
      for (JsonNode one : json.readTree(new File(after(given, "--vectors"))).required("cases")) {
        String name = one.required("name").asText();
        if (only == null || only.equals(name)) {
          String why = runner.whyNot(one);
          ObjectNode verdict = json.createObjectNode().put("name", name).put("ok", why.isEmpty());
          System.out.println(why.isEmpty() ? verdict : verdict.put("why", why));
          failed |= !why.isEmpty();
        }
      }
    }
    System.exit(failed ? 1 : 0);
  }

  private static String after(List<String> arguments, String flag) {
    int place = arguments.indexOf(flag);
    return place < 0 ? null : arguments.get(place + 1);
  }
}
