package io.rasterflight;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.Message;
import java.io.IOException;
import java.io.UncheckedIOException;

/** Messages as bytes that are the same for messages that are. */
final class Deterministic {
  private Deterministic() {}

  static ByteString bytes(Message message) {
    ByteString.Output bytes = ByteString.newOutput(message.getSerializedSize());
    CodedOutputStream output = CodedOutputStream.newInstance(bytes);
    output.useDeterministicSerialization();
    try {
      message.writeTo(output);
      output.flush();
    } catch (IOException error) {
      throw new UncheckedIOException("memory does not take bytes", error);
    }
    return bytes.toByteString();
  }
}
