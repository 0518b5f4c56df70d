package io.rasterflight;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.rasterflight.v1.BBox;
import io.rasterflight.v1.Geometries;
import io.rasterflight.v1.Upload;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.PutResult;
import org.apache.arrow.flight.SyncPutListener;
import org.apache.arrow.vector.VarBinaryVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/** Sends areas up, for requests to refer to. */
final class AreaUpload {
  private static final int BATCH_BYTES = 4 << 20;
  private static final int POLYGON = 3;
  private static final int BOX_BYTES = 1 + 3 * 4 + 5 * 2 * 8;

  private final Connection connection;
  private final List<ByteString> areas;

  AreaUpload(Connection connection, Geometries areas) {
    this.connection = connection;
    this.areas =
        areas.hasBboxes()
            ? areas.getBboxes().getValuesList().stream().map(AreaUpload::polygon).toList()
            : areas.getWkb().getValuesList();
  }

  /** Whether a box crosses the antimeridian: as a polygon it would be another area. */
  static boolean crosses(Geometries areas) {
    return areas.getBboxes().getValuesList().stream().anyMatch(box -> !(box.getMinx() <= box.getMaxx()));
  }

  Upload send(Timeout timeout) {
    Upload answer = connection.call(timeout, this::put);
    if (answer.getId().isEmpty()) {
      throw Failures.protocol(connection.url, "it took areas, and gave no id", null);
    }
    return answer;
  }

  private Upload put(FlightClient flight, CallOption... options) {
    Field field = new Field("geometry", FieldType.notNullable(new ArrowType.Binary()), null);
    Schema schema = new Schema(List.of(field), Map.of("rasterflight:areas", String.valueOf(areas.size())));
    try (VectorSchemaRoot root = VectorSchemaRoot.create(schema, connection.allocator);
        SyncPutListener answers = new SyncPutListener()) {
      FlightClient.ClientStreamListener writer = flight.startPut(FlightDescriptor.path("areas"), root, answers, options);
      VarBinaryVector column = (VarBinaryVector) root.getVector(0);
      for (int sent = 0; sent < areas.size(); ) {
        sent = fill(column, sent);
        root.setRowCount(column.getValueCount());
        writer.putNext();
      }
      writer.completed();
      return answer(answers);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw Failures.cancelled(interrupted);
    } catch (ExecutionException error) {
      throw Failures.translate(error, connection.url);
    }
  }

  /** Fills a batch from an area on; gives the number of the first one that has no place in it. */
  private int fill(VarBinaryVector column, int first) {
    column.reset();
    int next = first;
    for (long bytes = 0; next < areas.size(); next++) {
      bytes += areas.get(next).size();
      if (next > first && bytes > BATCH_BYTES) {
        break;
      }
      column.setSafe(next - first, areas.get(next).toByteArray());
    }
    column.setValueCount(next - first);
    return next;
  }

  private static Upload answer(SyncPutListener answers) throws InterruptedException, ExecutionException {
    try (PutResult result = answers.read()) {
      return result == null ? Upload.getDefaultInstance() : Upload.parseFrom(result.getApplicationMetadata().nioBuffer());
    } catch (InvalidProtocolBufferException foreign) {
      return Upload.getDefaultInstance();
    } finally {
      answers.getResult();
    }
  }

  /** A box as WKB: one ring of five points. */
  private static ByteString polygon(BBox box) {
    ByteBuffer wkb = ByteBuffer.allocate(BOX_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    wkb.put((byte) 1).putInt(POLYGON).putInt(1).putInt(5);
    wkb.putDouble(box.getMaxx()).putDouble(box.getMiny());
    wkb.putDouble(box.getMaxx()).putDouble(box.getMaxy());
    wkb.putDouble(box.getMinx()).putDouble(box.getMaxy());
    wkb.putDouble(box.getMinx()).putDouble(box.getMiny());
    wkb.putDouble(box.getMaxx()).putDouble(box.getMiny());
    return ByteString.copyFrom(wkb.flip());
  }
}
