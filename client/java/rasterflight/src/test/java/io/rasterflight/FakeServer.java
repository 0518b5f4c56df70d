package io.rasterflight;

import com.google.protobuf.InvalidProtocolBufferException;
import io.rasterflight.v1.ErrorDetail;
import io.rasterflight.v1.Position;
import io.rasterflight.v1.Progress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.CallHeaders;
import org.apache.arrow.flight.CallInfo;
import org.apache.arrow.flight.CallStatus;
import org.apache.arrow.flight.ErrorFlightMetadata;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightEndpoint;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightServer;
import org.apache.arrow.flight.FlightServerMiddleware;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.NoOpFlightProducer;
import org.apache.arrow.flight.RequestContext;
import org.apache.arrow.flight.Result;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorLoader;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.VectorUnloader;
import org.apache.arrow.vector.ipc.message.ArrowRecordBatch;
import org.apache.arrow.vector.types.pojo.Schema;

/** A Flight server in this process that answers with what a test puts in, and remembers what it was asked. */
final class FakeServer implements AutoCloseable {
  final BufferAllocator allocator = new RootAllocator();
  /** Thrown by the next calls, one each; also by the actions. */
  final Queue<ErrorDetail> errors = new ConcurrentLinkedQueue<>();

  final Queue<String> asked = new ConcurrentLinkedQueue<>();
  final Queue<String> tokens = new ConcurrentLinkedQueue<>();
  /** Tickets of the endpoints, and what each sends. */
  final List<String> tickets = new ArrayList<>();

  Consumer<Sender> stream = sender -> {};
  /** Counted down when a stream was cancelled by the client. */
  final CountDownLatch cancelled = new CountDownLatch(1);

  private final AtomicInteger running = new AtomicInteger();
  private final Schema schema;
  private final FlightServer server;

  FakeServer(Function<BufferAllocator, VectorSchemaRoot> sample) throws Exception {
    try (VectorSchemaRoot root = sample.apply(allocator)) {
      schema = root.getSchema();
    }
    server =
        FlightServer.builder(allocator, Location.forGrpcInsecure("127.0.0.1", 0), new Producer())
            .middleware(FlightServerMiddleware.Key.of("tokens"), new Tokens())
            .build()
            .start();
  }

  String url() {
    return "grpc://127.0.0.1:" + server.getPort();
  }

  static ErrorDetail error(String code, boolean retryable) {
    return ErrorDetail.newBuilder().setCode(code).setMessage("this is " + code).setRetryable(retryable).build();
  }

  static FlightRuntimeException exception(ErrorDetail detail) {
    ErrorFlightMetadata trailers = new ErrorFlightMetadata();
    trailers.insert("rasterflight-error-bin", detail.toByteArray());
    return CallStatus.INTERNAL.withDescription("of no use").withMetadata(trailers).toRuntimeException();
  }

  @Override
  public void close() {
    long end = System.nanoTime() + 10_000_000_000L;
    while (running.get() > 0 && System.nanoTime() < end) {
      LockSupport.parkNanos(1_000_000);
    }
    Uninterrupted.run(server::close);
    allocator.close();
  }

  /** Sends the batches of one stream. */
  final class Sender {
    final String ticket;
    private final NoOpFlightProducer.ServerStreamListener listener;
    private VectorSchemaRoot sent;

    Sender(String ticket, NoOpFlightProducer.ServerStreamListener listener) {
      this.ticket = ticket;
      this.listener = listener;
    }

    /** Where the rows are to begin that the ticket asks for. */
    long start() {
      try {
        return Request.parse(ticket.getBytes(StandardCharsets.UTF_8)).getStart().getRows();
      } catch (InvalidProtocolBufferException other) {
        return 0;
      }
    }

    void send(Function<BufferAllocator, VectorSchemaRoot> make) {
      send(make, Progress.newBuilder().setBytesDone(10));
    }

    /** Sends a batch, and says where the rows after it begin. */
    void send(Function<BufferAllocator, VectorSchemaRoot> make, long next) {
      send(make, Progress.newBuilder().setBytesDone(next).setNext(Position.newBuilder().setRows(next)));
    }

    private void send(Function<BufferAllocator, VectorSchemaRoot> make, Progress.Builder told) {
      if (sent == null) {
        sent = VectorSchemaRoot.create(schema, allocator);
        listener.start(sent);
      }
      try (VectorSchemaRoot root = make.apply(allocator);
          ArrowRecordBatch batch = new VectorUnloader(root).getRecordBatch()) {
        new VectorLoader(sent).load(batch);
      }
      byte[] progress = told.build().toByteArray();
      ArrowBuf metadata = allocator.buffer(progress.length);
      metadata.writeBytes(progress);
      listener.putNext(metadata);
    }

    void waitForCancel() {
      long end = System.nanoTime() + 10_000_000_000L;
      while (!listener.isCancelled() && System.nanoTime() < end) {
        LockSupport.parkNanos(1_000_000);
      }
      if (listener.isCancelled()) {
        cancelled.countDown();
      }
    }

    void end() {
      if (sent != null) {
        sent.close();
      }
    }
  }

  private final class Producer extends NoOpFlightProducer {
    @Override
    public void doAction(CallContext context, Action action, StreamListener<Result> listener) {
      if (fails(listener::onError)) {
        return;
      }
      asked.add(action.getType());
      listener.onNext(new Result("{}".getBytes(StandardCharsets.UTF_8)));
      listener.onCompleted();
    }

    @Override
    public FlightInfo getFlightInfo(CallContext context, FlightDescriptor descriptor) {
      asked.add("plan");
      ErrorDetail error = errors.poll();
      if (error != null) {
        throw exception(error);
      }
      List<FlightEndpoint> endpoints =
          tickets.stream().map(ticket -> FlightEndpoint.builder(new Ticket(ticket.getBytes(StandardCharsets.UTF_8))).build()).toList();
      return FlightInfo.builder(schema, descriptor, endpoints)
          .setAppMetadata(io.rasterflight.v1.Plan.newBuilder().setRows(7).build().toByteArray())
          .build();
    }

    @Override
    public void getStream(CallContext context, Ticket ticket, ServerStreamListener listener) {
      String name = new String(ticket.getBytes(), StandardCharsets.UTF_8);
      asked.add(name);
      if (fails(listener::error)) {
        return;
      }
      Sender sender = new Sender(name, listener);
      running.incrementAndGet();
      try {
        stream.accept(sender);
        listener.completed();
      } catch (FlightRuntimeException error) {
        listener.error(error);
      } finally {
        sender.end();
        running.decrementAndGet();
      }
    }

    private boolean fails(Consumer<Throwable> tell) {
      Optional<ErrorDetail> error = Optional.ofNullable(errors.poll());
      error.map(FakeServer::exception).ifPresent(tell);
      return error.isPresent();
    }
  }

  private final class Tokens implements FlightServerMiddleware.Factory<FlightServerMiddleware> {
    @Override
    public FlightServerMiddleware onCallStarted(CallInfo info, CallHeaders headers, RequestContext context) {
      tokens.add(String.valueOf(headers.get("authorization")));
      return new FlightServerMiddleware() {
        @Override
        public void onBeforeSendingHeaders(CallHeaders outgoing) {}

        @Override
        public void onCallCompleted(CallStatus status) {}

        @Override
        public void onCallErrored(Throwable error) {}
      };
    }
  }
}
