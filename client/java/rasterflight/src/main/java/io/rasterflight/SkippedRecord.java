package io.rasterflight;

/**
 * A record that could not be read, in a read with {@link Request#skipErrors()}.
 *
 * @param recordId id of the record
 * @param reason why, in the words of the server
 */
public record SkippedRecord(String recordId, String reason) {}
