package rasterflight

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// Bytes of areas in a message on their way up.
const uploadBatchBytes = 4 << 20

// Upload are areas that the server keeps for requests to come; made by [Client.Upload].
type Upload struct {
	ID string
	// Areas are how many there are.
	Areas int
	// Expires is when the server forgets them, if no request refers to them before; each that does gives them more time.
	Expires time.Time

	client *Client
	crs    string
}

// Upload sends areas up, for requests to refer to by [Upload.Geometries]: they then travel once, however many reads use them. A
// single read needs none: it sends large areas up by itself.
//
// ErrBusy: the server has no room for them. An area that cannot be used is found out by the request that uses it.
func (c *Client) Upload(ctx context.Context, areas *Geometries) (*Upload, error) {
	if areas.upload != "" {
		return nil, badRequest("geometries", "these areas have been sent up already")
	}
	message, err := areas.message("geometries")
	if err != nil {
		return nil, err
	}
	if crossing(message) {
		return nil, badRequest("geometries", "a box with MinX > MaxX goes with the request; it cannot be sent up")
	}
	return c.upload(ctx, message)
}

// Geometries are the areas, to be used in requests of this client.
func (u *Upload) Geometries() *Geometries {
	return &Geometries{crs: u.crs, upload: u.ID, count: u.Areas}
}

// Drop lets the server forget the areas now.
func (u *Upload) Drop(ctx context.Context) error {
	_, err := u.client.Action(ctx, "upload.drop", []byte(u.ID))
	return err
}

func (c *Client) upload(ctx context.Context, areas *rasterflightv1.Geometries) (*Upload, error) {
	answer, values := new(rasterflightv1.Upload), wkbOf(areas)
	err := c.trying(ctx, func() error { return c.put(ctx, values, answer) })
	if err != nil {
		return nil, err
	}
	return &Upload{ID: answer.Id, Areas: len(values), Expires: answer.Expires.AsTime(), client: c, crs: areas.Crs}, nil
}

func (c *Client) put(ctx context.Context, areas [][]byte, answer *rasterflightv1.Upload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := c.flight.DoPut(ctx)
	if err != nil {
		return translate(err, nil, c.url)
	}
	count := arrow.MetadataFrom(map[string]string{"rasterflight:areas": strconv.Itoa(len(areas))})
	schema := arrow.NewSchema([]arrow.Field{{Name: "geometry", Type: arrow.BinaryTypes.Binary}}, &count)
	writer := flight.NewRecordWriter(call, ipc.WithSchema(schema))
	writer.SetFlightDescriptor(&flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"areas"}})
	for len(areas) > 0 {
		var batch arrow.RecordBatch
		batch, areas = nextAreas(schema, areas)
		err = writer.Write(batch)
		batch.Release()
		if err != nil {
			break // what is at fault, the answer says
		}
	}
	_ = errors.Join(writer.Close(), call.CloseSend())
	result, err := call.Recv()
	if err != nil && err != io.EOF {
		return translate(err, call.Trailer(), c.url)
	}
	if proto.Unmarshal(result.GetAppMetadata(), answer) != nil || answer.Id == "" {
		return protocolError(c.url, "it took areas, and gave no id")
	}
	return nil
}

// nextAreas are some of the areas as a batch, and the rest.
func nextAreas(schema *arrow.Schema, areas [][]byte) (arrow.RecordBatch, [][]byte) {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	column, size := builder.Field(0).(*array.BinaryBuilder), 0
	for len(areas) > 0 && (size == 0 || size+len(areas[0]) <= uploadBatchBytes) {
		column.Append(areas[0])
		size += len(areas[0])
		areas = areas[1:]
	}
	return builder.NewRecordBatch(), areas
}

// crossing says whether a box crosses the antimeridian: as a polygon it would be another area.
func crossing(areas *rasterflightv1.Geometries) bool {
	return slices.ContainsFunc(areas.GetBboxes().GetValues(), func(box *rasterflightv1.BBox) bool { return !(box.Minx <= box.Maxx) })
}

func wkbOf(areas *rasterflightv1.Geometries) [][]byte {
	if boxes := areas.GetBboxes().GetValues(); boxes != nil {
		values := make([][]byte, len(boxes))
		for i, box := range boxes {
			// closed, and of pairs: there is no error
			values[i], _ = polygon{{
				{box.Maxx, box.Miny}, {box.Maxx, box.Maxy}, {box.Minx, box.Maxy}, {box.Minx, box.Miny}, {box.Maxx, box.Miny},
			}}.appendWKB(nil, i+1)
		}
		return values
	}
	return areas.GetWkb().GetValues()
}
