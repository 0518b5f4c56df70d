package io.rasterflight;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** A gRPC channel to a URL. */
final class Channels {
  private static final Set<String> SCHEMES = Set.of("grpc", "grpc+tcp", "grpc+tls", "grpc+unix");
  private static final Metadata.Key<String> AUTHORIZATION = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  // A batch of rows goes through without a stop.
  private static final int STREAM_WINDOW = 8 << 20;
  // Errors that name many things.
  private static final int MAX_METADATA = 1 << 16;
  // Servers take offence at more than a question in five minutes.
  private static final long KEEPALIVE_SECONDS = 310;

  private Channels() {}

  /** An open channel, and what has to end with it. */
  record Opened(ManagedChannel channel, Runnable release) {}

  static Opened open(String url, ConnectOptions options) {
    URI address = parse(url);
    Runnable release = () -> {};
    NettyChannelBuilder builder;
    if (address.getScheme().equals("grpc+unix")) {
      EventLoopGroup loop =
          new MultiThreadIoEventLoopGroup(1, new DefaultThreadFactory("rasterflight", true), NioIoHandler.newFactory());
      release = () -> loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
      builder =
          NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(address.getPath()), InsecureChannelCredentials.create())
              .channelType(NioDomainSocketChannel.class, UnixDomainSocketAddress.class)
              .eventLoopGroup(loop)
              .overrideAuthority("localhost");
    } else {
      builder =
          address.getScheme().equals("grpc+tls")
              ? encrypted(address, options)
              : NettyChannelBuilder.forAddress(address.getHost(), address.getPort(), InsecureChannelCredentials.create());
    }
    builder
        .maxInboundMessageSize(Integer.MAX_VALUE)
        .maxInboundMetadataSize(MAX_METADATA)
        .flowControlWindow(STREAM_WINDOW)
        .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
        .userAgent("rasterflight-java")
        // tries are counted here, not there
        .disableRetry();
    if (options.token != null) {
      builder.intercept(new Bearer(options.token));
    }
    return new Opened(builder.build(), release);
  }

  private static URI parse(String url) {
    URI address;
    try {
      address = URI.create(url);
    } catch (IllegalArgumentException error) {
      throw Failures.badRequest("url", "the URL cannot be read: " + error.getMessage());
    }
    if (!SCHEMES.contains(String.valueOf(address.getScheme()))) {
      throw Failures.badRequest(
          "url",
          "the URL has the scheme '" + address.getScheme() + "', expected one of: grpc://, grpc+tcp://, grpc+tls://, grpc+unix://");
    }
    if (address.getRawUserInfo() != null) {
      throw Failures.badRequest("url", "the URL carries credentials: pass them as ConnectOptions.token");
    }
    if (address.getScheme().equals("grpc+unix")) {
      if (address.getPath() == null || address.getPath().isEmpty()) {
        throw Failures.badRequest("url", "the URL '" + url + "' names no socket: expected grpc+unix:///path/to/socket");
      }
    } else if (address.getHost() == null || address.getPort() <= 0) {
      throw Failures.badRequest(
          "url", "the URL '" + url + "' lacks host or port: expected " + address.getScheme() + "://host:port");
    }
    return address;
  }

  private static NettyChannelBuilder encrypted(URI address, ConnectOptions options) {
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    try {
      if (options.rootCertificates != null) {
        builder.trustManager(new ByteArrayInputStream(options.rootCertificates));
      }
      if (options.certificate != null && options.key != null) {
        builder.keyManager(new ByteArrayInputStream(options.certificate), new ByteArrayInputStream(options.key));
      }
      return NettyChannelBuilder.forAddress(address.getHost(), address.getPort(), builder.build());
    } catch (IOException | IllegalArgumentException error) {
      throw Failures.badRequest("options", "the certificates cannot be read: " + error.getMessage());
    }
  }

  /** Sends the token with every call. */
  private record Bearer(Supplier<String> token) implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
        @Override
        public void start(Listener<A> listener, Metadata headers) {
          headers.put(AUTHORIZATION, "Bearer " + checked(token.get()));
          super.start(listener, headers);
        }
      };
    }

    private static String checked(String token) {
      // not shown: an error must not carry the token into a log
      if (token == null || token.isEmpty() || !token.chars().allMatch(letter -> letter > ' ' && letter < 127)) {
        throw Failures.badRequest("token", "the token is empty, or has characters that a header cannot carry");
      }
      return token;
    }
  }
}
