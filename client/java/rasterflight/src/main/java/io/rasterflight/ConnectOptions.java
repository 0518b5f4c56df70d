package io.rasterflight;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.arrow.memory.BufferAllocator;

/**
 * How a client connects. What is not said has its default; each method changes these options and gives them back.
 *
 * <p>What nobody says is taken from the environment: {@code RASTERFLIGHT_TOKEN} and, for encrypted connections, the files named by
 * {@code RASTERFLIGHT_ROOT_CERTS}, {@code RASTERFLIGHT_CLIENT_CERTIFICATE} and {@code RASTERFLIGHT_CLIENT_KEY}.
 */
public final class ConnectOptions {
  private static final int RETRIES = 5;
  private static final int PARALLEL = 4;

  Supplier<String> token = variable("RASTERFLIGHT_TOKEN").<Supplier<String>>map(value -> () -> value).orElse(null);
  byte[] rootCertificates = file("RASTERFLIGHT_ROOT_CERTS");
  byte[] certificate = file("RASTERFLIGHT_CLIENT_CERTIFICATE");
  byte[] key = file("RASTERFLIGHT_CLIENT_KEY");
  Duration timeout;
  Compression compression;
  int retries = RETRIES;
  int maxConcurrent = PARALLEL;
  BufferAllocator allocator;

  private ConnectOptions() {}

  public static ConnectOptions defaults() {
    return new ConnectOptions();
  }

  /** Sends a token with every call ({@code authorization: Bearer}); use {@code grpc+tls://} where others can listen. */
  public ConnectOptions token(String token) {
    return token(() -> token);
  }

  /** Asks for the token before every call, so that it may be renewed. */
  public ConnectOptions token(Supplier<String> source) {
    token = source;
    return this;
  }

  /** Trusts the authorities in a PEM file that was read, instead of those of the system. */
  public ConnectOptions rootCertificates(byte[] pem) {
    rootCertificates = pem.clone();
    return this;
  }

  /** Shows a certificate to the server; both are PEM, the key in the form PKCS #8. */
  public ConnectOptions clientCertificate(byte[] certificate, byte[] key) {
    this.certificate = certificate.clone();
    this.key = key.clone();
    return this;
  }

  /** Time that a call may take, a read as a whole; null: no limit. A read can have its own. */
  public ConnectOptions timeout(Duration timeout) {
    if (timeout != null && (timeout.isNegative() || timeout.isZero())) {
      throw new IllegalArgumentException("timeout is " + timeout + ", expected more than nothing, or null");
    }
    this.timeout = timeout;
    return this;
  }

  /** How rows travel, unless a read says it. */
  public ConnectOptions compression(Compression compression) {
    this.compression = compression;
    return this;
  }

  /**
   * How often a call is tried again when the server is busy, shuts down or cannot be reached any more; 5 unless said. A read is tried
   * again as long as no row of it came. 0: nothing is tried again.
   */
  public ConnectOptions retries(int most) {
    if (most < 0) {
      throw new IllegalArgumentException("retries is " + most + ", expected 0 or more");
    }
    retries = most;
    return this;
  }

  /** How many endpoints of one read are taken at a time; 4 unless said. */
  public ConnectOptions maxConcurrent(int streams) {
    if (streams < 1) {
      throw new IllegalArgumentException("maxConcurrent is " + streams + ", expected 1 or more");
    }
    maxConcurrent = streams;
    return this;
  }

  /** Takes the memory of Arrow from here; null: from an allocator of the client's own. It must outlive the client. */
  public ConnectOptions allocator(BufferAllocator allocator) {
    this.allocator = allocator;
    return this;
  }

  static Optional<String> variable(String name) {
    return Optional.ofNullable(System.getenv(name)).filter(value -> !value.isEmpty());
  }

  private static byte[] file(String variable) {
    return variable(variable)
        .map(
            name -> {
              try {
                return Files.readAllBytes(Path.of(name));
              } catch (IOException error) {
                throw new UncheckedIOException(variable + " names " + name + ", which cannot be read", error);
              }
            })
        .orElse(null);
  }
}
