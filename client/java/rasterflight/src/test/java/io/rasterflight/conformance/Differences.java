package io.rasterflight.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** What an outcome has otherwise than expected, in words. */
record Differences(List<String> words) {
  // Ends a text that any other may stand for which begins so.
  private static final String ELLIPSIS = "…";

  void of(JsonNode expected, String way, JsonNode found) {
    if (expected.has("error")) {
      ofErrors(expected, way, found);
      return;
    }
    if (found.has("error")) {
      words.add(found.get("on").asText() + " ended with " + found.get("error"));
      return;
    }
    if (found.has("metadata_keys")) {
      Set<String> missing = new TreeSet<>();
      expected.path("metadata_keys").forEach(key -> missing.add(key.asText()));
      found.get("metadata_keys").forEach(key -> missing.remove(key.asText()));
      if (!missing.isEmpty()) {
        words.add("the schema's metadata lacks " + missing);
      }
    }
    for (String part : List.of("plan", "schema", "rows", "progress", "columns")) {
      if (expected.has(part) && found.has(part)) {
        compare(part, expected.get(part), found.get(part));
      }
    }
  }

  private void ofErrors(JsonNode expected, String way, JsonNode found) {
    if (!found.has("error")) {
      words.add("no error, " + found.path("rows") + " rows");
      return;
    }
    boolean isPlanned = expected.get("on").get(0).asText().equals("GetFlightInfo");
    compare("on", expected.get("on").get(isPlanned && way.equals("ticket") ? 1 : 0), found.get("on"));
    if (expected.path("code_only").asBoolean()) {
      compare("error.code", expected.at("/error/code"), found.at("/error/code"));
    } else {
      compare("error", expected.get("error"), found.get("error"));
    }
    if (expected.has("plan") && found.has("plan")) {
      compare("plan", expected.get("plan"), found.get("plan"));
    }
  }

  private void compare(String what, JsonNode expected, JsonNode found) {
    if (expected instanceof ObjectNode && found instanceof ObjectNode) {
      Set<String> names = new TreeSet<>();
      expected.fieldNames().forEachRemaining(names::add);
      found.fieldNames().forEachRemaining(names::add);
      names.remove("shown");
      names.forEach(name -> compare(what + "." + name, expected.path(name), found.path(name)));
    } else if (!expected.toString().equals(found.toString()) && !begins(expected, found)) {
      // as text: numbers of Java have many types
      words.add(what + " is " + found + ", expected " + expected);
    }
  }

  private static boolean begins(JsonNode expected, JsonNode found) {
    String text = expected.asText();
    return text.endsWith(ELLIPSIS) && found.asText().startsWith(text.substring(0, text.length() - 1));
  }
}
