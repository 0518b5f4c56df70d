package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	rf "github.com/rasterflight/rasterflight/client/go"
	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// player plays cases against one server.
type player struct {
	client *rf.Client
}

// why says why a case is not as it should be; empty: it is.
func (p player) why(ctx context.Context, one vector) string {
	tickets, err := p.tickets(ctx, one)
	if err != nil {
		return err.Error()
	}
	var reasons []string
	for _, ticket := range tickets {
		for _, way := range ways(one) {
			within, cancel := ctx, context.CancelFunc(func() {})
			if one.Timeout > 0 {
				within, cancel = context.WithTimeout(ctx, time.Duration(one.Timeout*float64(time.Second)))
			}
			found, err := p.play(within, one, ticket.bytes, way)
			cancel()
			if err != nil {
				reasons = append(reasons, fmt.Sprintf("%s %s: %v", ticket.form, way, err))
				continue
			}
			for _, reason := range differences(one.Expected, way, found) {
				reasons = append(reasons, fmt.Sprintf("%s %s: %s", ticket.form, way, reason))
			}
		}
	}
	return strings.Join(reasons, "; ")
}

func ways(one vector) []string {
	switch {
	case one.Exchange != nil:
		return []string{"exchange"}
	case one.Only == "GetFlightInfo":
		return []string{"endpoints"}
	case one.Only == "DoGet":
		return []string{"ticket"}
	}
	return []string{"endpoints", "ticket"}
}

type formed struct {
	form  string
	bytes []byte
}

// tickets of a case, with what stands in their place put in.
func (p player) tickets(ctx context.Context, one vector) ([]formed, error) {
	if one.Ticket == nil {
		return []formed{{"bytes", one.TicketBase64}}, nil
	}
	text := string(one.Ticket)
	if one.Upload != nil {
		id, err := p.upload(ctx, one.Upload)
		if err != nil {
			return nil, err
		}
		text = strings.ReplaceAll(text, "{upload}", id)
	}
	message := new(rasterflightv1.ReadRequest)
	if strings.Contains(text, "{snapshot}") {
		snapshots, err := p.snapshots(ctx)
		if err != nil {
			return nil, err
		}
		if err := protojson.Unmarshal([]byte(text), message); err != nil {
			return nil, err
		}
		text = strings.ReplaceAll(text, "{snapshot}", snapshots[message.Collection])
	}
	if err := protojson.Unmarshal([]byte(text), message); err != nil {
		return nil, err
	}
	binary, err := rf.Ticket(message)
	if err != nil {
		return nil, err
	}
	if one.TicketBase64 != nil {
		binary = one.TicketBase64
		wrapped, inside := new(anypb.Any), new(rasterflightv1.ReadRequest)
		if err := proto.Unmarshal(binary, wrapped); err != nil {
			return nil, err
		}
		if err := wrapped.UnmarshalTo(inside); err != nil {
			return nil, err
		}
		if !proto.Equal(inside, message) {
			return nil, errors.New("ticket_base64 holds another request than ticket")
		}
	}
	return []formed{{"json", []byte(text)}, {"binary", binary}}, nil
}

// play gives what "expected" should be.
func (p player) play(ctx context.Context, one vector, ticket []byte, way string) (map[string]any, error) {
	found := map[string]any{}
	var rpc string
	var err error
	switch way {
	case "endpoints":
		rpc, err = p.playEndpoints(ctx, ticket, found)
	case "ticket":
		rpc = "DoGet"
		var stream *rf.Stream
		if stream, err = p.client.Open(ctx, ticket); err == nil {
			err = take(stream, found)
		}
	case "exchange":
		rpc, err = "DoExchange", p.playExchange(ctx, ticket, one.Exchange, found)
	}
	var told *rf.Error
	if errors.As(err, &told) {
		snapshots, err := p.snapshots(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		found["error"], found["on"] = detail(told, snapshots), rpc
		return found, nil
	}
	return found, err
}

func (p player) playEndpoints(ctx context.Context, ticket []byte, found map[string]any) (rpc string, err error) {
	plan, err := p.client.PlanTicket(ctx, ticket)
	if err != nil {
		return "GetFlightInfo", err
	}
	if found["plan"], err = planned(plan); err != nil {
		return "GetFlightInfo", err
	}
	stream, err := plan.Read(ctx)
	if err != nil {
		return "DoGet", err
	}
	return "DoGet", take(stream, found)
}

// take takes all rows of a stream.
func take(stream *rf.Stream, found map[string]any) error {
	defer stream.Close()
	columns := newColumns(stream.Schema())
	for stream.Next() {
		columns.add(stream.RecordBatch())
	}
	if err := stream.Err(); err != nil {
		return err
	}
	done, total := stream.Progress()
	note(found, stream.Schema(), columns, stream.Rows(), done, total)
	return nil
}

func note(found map[string]any, schema *arrow.Schema, columns columns, rows, done, total int64) {
	found["schema"], found["metadata_keys"] = schemaText(schema), schema.Metadata().Keys()
	found["rows"], found["columns"] = rows, columns.facts()
	found["progress"] = map[string]any{"bytes_done": done, "bytes_total": total}
}

func planned(plan *rf.Plan) (map[string]any, error) {
	told := new(rasterflightv1.Plan)
	if err := proto.Unmarshal(plan.Info.AppMetadata, told); err != nil {
		return nil, err
	}
	if plan.Snapshot == "" {
		return nil, errors.New("a plan without a snapshot")
	}
	levels := []any{}
	for _, band := range told.Levels {
		levels = append(levels, map[string]any{"band": band.Band, "levels": band.Levels})
	}
	return map[string]any{
		"records": plan.Records, "chips": plan.Chips, "rows": plan.Rows, "tiles": plan.Tiles,
		"bytes_to_fetch": plan.BytesToFetch, "bytes_to_receive": plan.BytesToReceive,
		"crs": append([]string{}, plan.CRS...), "levels": levels,
		"total_records": plan.Info.TotalRecords, "total_bytes": plan.Info.TotalBytes, "ordered": plan.Info.Ordered,
		"endpoints": len(plan.Endpoints),
	}, nil
}

// detail are the fields of an error that are not empty.
func detail(told *rf.Error, snapshots map[string]string) map[string]any {
	fields := map[string]any{"retryable": told.Retryable}
	for name, text := range map[string]string{
		"code": string(told.Code), "message": told.Message, "hint": told.Hint, "collection": told.Collection,
		"record": told.Record, "asset": told.Asset, "field": told.Field,
	} {
		if name == "message" || name == "hint" {
			for _, snapshot := range snapshots {
				text = strings.ReplaceAll(text, snapshot, "{snapshot}")
			}
		}
		if text != "" {
			fields[name] = text
		}
	}
	return fields
}

func (p player) snapshots(ctx context.Context) (map[string]string, error) {
	answer, err := p.client.Healthcheck(ctx)
	if err != nil {
		return nil, err
	}
	var told struct {
		Collections map[string]string `json:"collections"`
	}
	return told.Collections, json.Unmarshal(answer, &told)
}

// upload sends areas up, and gives their id.
func (p player) upload(ctx context.Context, areas [][]byte) (string, error) {
	upload, err := p.client.Upload(ctx, rf.WKB(areas...))
	if err != nil {
		return "", err
	}
	return upload.ID, nil
}

// playExchange sends sets of points up while their values come down.
func (p player) playExchange(ctx context.Context, ticket []byte, sets []points, found map[string]any) error {
	call, err := p.client.Flight().DoExchange(ctx)
	if err != nil {
		return err
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "y", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}, nil)
	writer := flight.NewRecordWriter(call, ipc.WithSchema(schema))
	writer.SetFlightDescriptor(&flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: ticket})
	for _, set := range sets {
		x, y := coordinates(set.X), coordinates(set.Y)
		if writer.Write(array.NewRecordBatch(schema, []arrow.Array{x, y}, int64(x.Len()))) != nil {
			break // what is at fault, the reader says
		}
	}
	_ = errors.Join(writer.Close(), call.CloseSend())
	reader, err := flight.NewRecordReader(call)
	if err != nil {
		return rf.ErrorOf(err, call.Trailer(), p.client.URL())
	}
	defer reader.Release()
	columns, rows, progress := newColumns(reader.Schema()), int64(0), new(rasterflightv1.Progress)
	for reader.Next() {
		rows += reader.RecordBatch().NumRows()
		columns.add(reader.RecordBatch())
		if err := proto.Unmarshal(reader.LatestAppMetadata(), progress); err != nil {
			return err
		}
	}
	if err := reader.Err(); err != nil && !errors.Is(err, io.EOF) {
		return rf.ErrorOf(err, call.Trailer(), p.client.URL())
	}
	note(found, reader.Schema(), columns, rows, progress.BytesDone, progress.BytesTotal)
	return nil
}

func coordinates(values []number) arrow.Array {
	builder := array.NewFloat64Builder(memory.DefaultAllocator)
	for _, value := range values {
		builder.Append(float64(value))
	}
	return builder.NewArray()
}
