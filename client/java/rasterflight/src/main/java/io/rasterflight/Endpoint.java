package io.rasterflight;

import java.time.Instant;
import java.util.List;

/**
 * A part of a read. Its ticket stands alone: any Flight client may take it, on any replica of the server.
 *
 * @param ticket bytes of a Flight ticket
 * @param locations where else it may be taken; none: where it was planned
 * @param expires until when the ticket is promised to work; null: it is not said
 */
public record Endpoint(byte[] ticket, List<String> locations, Instant expires) {}
