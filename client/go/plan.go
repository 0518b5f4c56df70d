package rasterflight

import (
	"context"
	"errors"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// Plan is what a server found out about a read before it fetched a pixel.
type Plan struct {
	// Snapshot of the index that the plan was made on; the endpoints are pinned to it.
	Snapshot string
	// Records that take part.
	Records int64
	// Chips are pairs of record and area that overlap.
	Chips int64
	// Rows that the read will give; -1: not known before.
	Rows int64
	// Tiles are distinct TIFF tiles under the windows, BytesToFetch their bytes as stored.
	Tiles, BytesToFetch int64
	// BytesToReceive are bytes of pixels that the stream will carry.
	BytesToReceive int64
	// CRS of the rasters that take part.
	CRS []string
	// Levels of the files that resampled bands are read from; 0: full resolution, n: the n-th overview.
	Levels map[string][]int32
	// Endpoints are parts of the read that can be taken in parallel; in order, they are the read.
	Endpoints []Endpoint
	// Schema of the rows.
	Schema *arrow.Schema
	// Info is the answer of the server as it came.
	Info *flight.FlightInfo

	client *Client
	// sent is what was asked; nil: a ticket.
	sent *sentRequest
}

// Endpoint is a part of a read. Its ticket stands alone: any Flight client may take it, on any replica of the server.
type Endpoint struct {
	Ticket []byte
	// Locations where else it may be taken; none: where it was planned.
	Locations []string
	// Expires is until when the ticket is promised to work; zero: it is not said.
	Expires time.Time
}

// Plan finds out what a read would do, given as a message. [Collection.Plan] is the easier way. Areas of more than 1 MiB go up before
// (see [Client.Upload]), and are dropped at the end of a read of the plan, or 15 minutes after their last use.
func (c *Client) Plan(ctx context.Context, request *rasterflightv1.ReadRequest) (*Plan, error) {
	if request.Compression == 0 && c.compression != 0 {
		request = proto.Clone(request).(*rasterflightv1.ReadRequest)
		request.Compression = c.compression
	}
	sent, err := c.send(ctx, request)
	if err != nil {
		return nil, err
	}
	plan, err := c.planOf(ctx, sent.message)
	if errors.Is(err, ErrUploadNotFound) && sent.hasUploads() {
		plan, err = c.planOf(ctx, request)
	}
	if err != nil {
		sent.drop()
		return nil, err
	}
	plan.sent = sent
	return plan, nil
}

func (c *Client) planOf(ctx context.Context, request *rasterflightv1.ReadRequest) (*Plan, error) {
	command, err := Ticket(request)
	if err != nil {
		return nil, err
	}
	return c.PlanTicket(ctx, command)
}

// PlanTicket finds out what a ticket would do; also one in JSON.
func (c *Client) PlanTicket(ctx context.Context, ticket []byte) (*Plan, error) {
	info, err := c.info(ctx, &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: ticket})
	if err != nil {
		return nil, err
	}
	told := new(rasterflightv1.Plan)
	if err := proto.Unmarshal(info.AppMetadata, told); err != nil || len(info.Endpoint) == 0 {
		return nil, protocolError(c.url, "it sent no plan")
	}
	schema, err := c.schema(info)
	if err != nil {
		return nil, err
	}
	plan := &Plan{
		Snapshot:       told.Snapshot,
		Records:        told.Records,
		Chips:          told.Chips,
		Rows:           told.Rows,
		Tiles:          told.Tiles,
		BytesToFetch:   told.BytesToFetch,
		BytesToReceive: told.BytesToReceive,
		CRS:            told.Crs,
		Levels:         map[string][]int32{},
		Schema:         schema,
		Info:           info,
		client:         c,
	}
	for _, band := range told.Levels {
		plan.Levels[band.Band] = band.Levels
	}
	for _, endpoint := range info.Endpoint {
		plan.Endpoints = append(plan.Endpoints, endpointFrom(endpoint))
	}
	return plan, nil
}

func endpointFrom(told *flight.FlightEndpoint) Endpoint {
	endpoint := Endpoint{Ticket: told.GetTicket().GetTicket()}
	for _, location := range told.Location {
		endpoint.Locations = append(endpoint.Locations, location.Uri)
	}
	if told.ExpirationTime != nil {
		endpoint.Expires = told.ExpirationTime.AsTime()
	}
	return endpoint
}
