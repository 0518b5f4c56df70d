package rasterflight

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// fake is a Flight server that answers with what a test puts in. Its endpoints are the keys of streams.
type fake struct {
	flight.BaseFlightServer
	schema *arrow.Schema
	// streams are batches, errors between them, and places (int64) where the rows after the batch before begin.
	streams [][]any
	// busy calls of each kind before one is answered.
	busy map[string]int
	// held: DoGet of the first endpoint waits for it.
	held chan struct{}

	lock   sync.Mutex
	calls  map[string]int
	tokens []string
}

func serve(t *testing.T, f *fake, opts ...Option) *Client {
	t.Helper()
	f.calls = map[string]int{}
	server := flight.NewServerWithMiddleware(nil)
	if err := server.Init("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	server.RegisterFlightService(f)
	go func() { _ = server.Serve() }()
	t.Cleanup(server.Shutdown)
	client, err := Connect(context.Background(), "grpc://"+server.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// call counts a call, and fails while the server is busy.
func (f *fake) call(name string) *rasterflightv1.ErrorDetail {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.calls[name]++
	if f.calls[name] <= f.busy[name] {
		return &rasterflightv1.ErrorDetail{Code: "BUSY", Message: "too much to do", Retryable: true, RetryAfter: 0.01}
	}
	return nil
}

func (f *fake) count(name string) int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.calls[name]
}

func trailer(detail *rasterflightv1.ErrorDetail) metadata.MD {
	bytes, err := proto.Marshal(detail)
	if err != nil {
		panic(err)
	}
	return metadata.Pairs(errorTrailer, string(bytes))
}

func (f *fake) DoAction(_ *flight.Action, stream flight.FlightService_DoActionServer) error {
	if from, ok := metadata.FromIncomingContext(stream.Context()); ok {
		f.tokens = append(f.tokens, from.Get("authorization")...)
	}
	return stream.Send(&flight.Result{Body: []byte(`{"status": "ok"}`)})
}

func (f *fake) GetFlightInfo(ctx context.Context, _ *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if detail := f.call("plan"); detail != nil {
		_ = grpc.SetTrailer(ctx, trailer(detail))
		return nil, status.Error(codes.Unavailable, "busy")
	}
	plan, err := proto.Marshal(&rasterflightv1.Plan{Snapshot: "s", Records: 1, Rows: int64(len(f.streams))})
	if err != nil {
		return nil, err
	}
	info := &flight.FlightInfo{Schema: flight.SerializeSchema(f.schema, memory.DefaultAllocator), AppMetadata: plan}
	for i := range f.streams {
		info.Endpoint = append(info.Endpoint, &flight.FlightEndpoint{Ticket: &flight.Ticket{
			Ticket: fmt.Appendf(nil, `{"collection": "%d"}`, i),
		}})
	}
	return info, nil
}

func (f *fake) DoGet(ticket *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	message, wrapped := new(rasterflightv1.ReadRequest), new(anypb.Any)
	if protojson.Unmarshal(ticket.Ticket, message) != nil {
		if err := errors.Join(proto.Unmarshal(ticket.Ticket, wrapped), wrapped.UnmarshalTo(message)); err != nil {
			return err
		}
	}
	number, err := strconv.Atoi(message.Collection)
	if err != nil {
		return err
	}
	if detail := f.call("read"); detail != nil {
		stream.SetTrailer(trailer(detail))
		return status.Error(codes.Unavailable, "busy")
	}
	if number == 0 && f.held != nil {
		select {
		case <-f.held:
		case <-stream.Context().Done():
			return nil
		}
	}
	writer := flight.NewRecordWriter(stream, ipc.WithSchema(f.schema))
	defer writer.Close()
	items := f.streams[number]
	for i := int(message.Start.GetRows()); i < len(items); i++ {
		switch item := items[i].(type) {
		case arrow.RecordBatch:
			progress := new(rasterflightv1.Progress)
			if i+1 < len(items) {
				if next, ok := items[i+1].(int64); ok {
					progress.Next = &rasterflightv1.Position{Rows: next}
				}
			}
			told, err := proto.Marshal(progress)
			if err != nil {
				return err
			}
			if err := writer.WriteWithAppMetadata(item, told); err != nil {
				return err
			}
		case *rasterflightv1.ErrorDetail:
			stream.SetTrailer(trailer(item))
			return status.Error(codes.Unknown, "failed")
		}
	}
	return nil
}

// chipsSchema is that of chips with bands of uint16; a name with "?" is masked.
func chipsSchema(withError bool, bands ...string) *arrow.Schema {
	fields := []arrow.Field{
		{Name: "record_id", Type: arrow.BinaryTypes.String},
		{Name: "datetime", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
		{Name: "cloud_cover", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "collection", Type: arrow.BinaryTypes.String},
		{Name: "geometry_id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "crs", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "transform", Type: arrow.FixedSizeListOfNonNullable(6, arrow.PrimitiveTypes.Float64), Nullable: true},
	}
	for _, name := range []string{"chip_height", "chip_width", "row_off", "height", "width"} {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int32})
	}
	for _, band := range bands {
		name := strings.TrimSuffix(band, "?")
		list := arrow.ListOfField(arrow.Field{Name: "item", Type: arrow.PrimitiveTypes.Uint16, Nullable: name != band})
		facts := arrow.MetadataFrom(map[string]string{"rasterflight:dtype": "uint16", "rasterflight:nodata": "0"})
		fields = append(fields, arrow.Field{Name: name, Type: list, Nullable: true, Metadata: facts})
	}
	if withError {
		fields = append(fields, arrow.Field{Name: "error", Type: arrow.BinaryTypes.String, Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// batchOf makes rows of JSON; what all rows have in common is added.
func batchOf(t *testing.T, schema *arrow.Schema, rows ...string) arrow.RecordBatch {
	t.Helper()
	for i, row := range rows {
		rows[i] = `{"collection": "toy", "datetime": "2024-01-01T10:30:00.000000", "geometry_id": 1, "crs": "EPSG:32618",
			"transform": [10, 0, 500000, 0, -10, 4500000], ` + strings.TrimPrefix(row, "{")
	}
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.Join(rows, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// row is a strip of a chip that is 2 pixels wide.
func row(record string, chipHeight, rowOff int, bands string, pixels ...int) string {
	values := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(pixels), "[]")), ",")
	return fmt.Sprintf(`{"record_id": %q, "chip_height": %d, "chip_width": 2, "row_off": %d, "height": %d, "width": 2, %q: [%s]}`,
		record, chipHeight, rowOff, len(pixels)/2, bands, values)
}
