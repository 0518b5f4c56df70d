package rasterflight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

const (
	// Areas that take more bytes than this go up before the request.
	ticketBytes = 1 << 20
	// How long a server may take to drop an upload before it is left to forget it by itself.
	dropping = 5 * time.Second
)

// sentRequest is a request as it goes to the server: its large sets of areas are replaced by uploads.
type sentRequest struct {
	client            *Client
	original, message *rasterflightv1.ReadRequest
	uploads           []string
	dropped           sync.Once
}

func (c *Client) send(ctx context.Context, request *rasterflightv1.ReadRequest) (*sentRequest, error) {
	sent := &sentRequest{client: c, original: request, message: request}
	for field, areas := range areasOf(request) {
		if areas.GetUpload() != "" || proto.Size(areas) <= ticketBytes || crossing(areas) {
			continue
		}
		upload, err := c.upload(ctx, areas)
		if errors.Is(err, ErrBusy) {
			break // there is no room to keep them: these go with the ticket
		}
		if err != nil {
			var told *Error
			if errors.As(err, &told) {
				told.Field = field
			}
			sent.drop()
			return nil, err
		}
		if len(sent.uploads) == 0 {
			sent.message = proto.Clone(request).(*rasterflightv1.ReadRequest)
		}
		sent.uploads = append(sent.uploads, upload.ID)
		areasOf(sent.message)[field].Source = &rasterflightv1.Geometries_Upload{Upload: upload.ID}
	}
	return sent, nil
}

// areasOf are all areas of a request, by the name of their field.
func areasOf(request *rasterflightv1.ReadRequest) map[string]*rasterflightv1.Geometries {
	found := map[string]*rasterflightv1.Geometries{}
	if areas := request.GetGeometries(); areas != nil {
		found["geometries"] = areas
	}
	for i, filter := range request.Filters {
		if filter.Geometries != nil {
			found[fmt.Sprintf("filters[%d].geometries", i)] = filter.Geometries
		}
	}
	return found
}

func (s *sentRequest) hasUploads() bool { return s != nil && len(s.uploads) > 0 }

// restore puts the areas themselves into a request that refers to uploads.
func (s *sentRequest) restore(message *rasterflightv1.ReadRequest) {
	message.Where, message.Filters = s.original.Where, s.original.Filters
}

// drop lets the server forget what went up; one that cannot be reached forgets it by itself.
func (s *sentRequest) drop() {
	if !s.hasUploads() {
		return
	}
	s.dropped.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropping)
		defer cancel()
		for _, id := range s.uploads {
			call, err := s.client.flight.DoAction(ctx, &flight.Action{Type: "upload.drop", Body: []byte(id)})
			if err == nil {
				_ = drain(call, s.client.url, func(*flight.Result) {})
			}
		}
	})
}
