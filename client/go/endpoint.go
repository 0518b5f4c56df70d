package rasterflight

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// readEndpoint takes an endpoint to its end; where it breaks off, another call goes on with the rows that did not come.
func (s *Stream) readEndpoint(ctx context.Context, endpoint int, schema *arrow.Schema, lane chan<- chunk) {
	tries := attempts{client: s.plan.client}
	part := part{ticket: s.plan.Endpoints[endpoint].Ticket, schema: schema, number: endpoint, lane: lane}
	for {
		hasRows, err := s.pull(ctx, &part)
		if err == nil {
			return
		}
		if hasRows {
			tries = attempts{client: s.plan.client}
		}
		if err = s.goOn(ctx, &part, &tries, err); err != nil {
			send(ctx, lane, chunk{endpoint: endpoint, err: err})
			return
		}
	}
}

// goOn makes the ticket one for the rows that did not come, when it is time for another call; it returns the error if there is to be none.
func (s *Stream) goOn(ctx context.Context, part *part, tries *attempts, failed error) (err error) {
	if sent := s.plan.sent; errors.Is(failed, ErrUploadNotFound) && sent.hasUploads() && !part.isWhole {
		// the areas went to one server and the ticket to another: one that holds them goes anywhere
		part.isWhole = true
		part.ticket, err = rewritten(part.ticket, sent.restore)
		return err
	}
	if part.next == nil && part.hasBegun {
		return failed
	}
	if err := tries.wait(ctx, failed); err != nil {
		return err
	}
	if part.next != nil {
		part.ticket, err = rewritten(part.ticket, func(message *rasterflightv1.ReadRequest) { message.Start = part.next })
	}
	return err
}

// part is an endpoint that is read.
type part struct {
	number int
	ticket []byte
	// schema as it must be; nil: it is not known yet.
	schema *arrow.Schema
	lane   chan<- chunk
	// hasBegun: rows of it came; next is where those after them begin; nil: nobody knows.
	hasBegun bool
	next     *rasterflightv1.Position
	// isWhole: its ticket has all areas in it.
	isWhole bool
}

func (s *Stream) pull(ctx context.Context, part *part) (hasRows bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := s.plan.client.flight.DoGet(ctx, &flight.Ticket{Ticket: part.ticket})
	if err != nil {
		return false, translate(err, nil, s.plan.client.url)
	}
	messages := &noted{call: call, url: s.plan.client.url}
	reader, err := flight.NewRecordReader(messages)
	if err != nil {
		return false, messages.failure(err)
	}
	defer reader.Release()
	if part.schema == nil {
		part.schema = reader.Schema()
		if !send(ctx, part.lane, chunk{schema: part.schema}) {
			return false, translate(ctx.Err(), nil, s.plan.client.url)
		}
	}
	if !reader.Schema().Equal(part.schema) {
		return false, protocolError(s.plan.client.url, "rows have another schema than was planned")
	}
	for reader.Next() {
		batch := reader.RecordBatch()
		batch.Retain()
		progress := new(rasterflightv1.Progress)
		// decoration: another server may say something else here
		_ = proto.Unmarshal(reader.LatestAppMetadata(), progress)
		if !send(ctx, part.lane, chunk{endpoint: part.number, batch: batch, progress: progress}) {
			batch.Release()
			return true, translate(ctx.Err(), nil, s.plan.client.url)
		}
		hasRows, part.hasBegun, part.next = true, true, progress.Next
	}
	s.plan.client.reached.Store(true)
	return hasRows, messages.failure(reader.Err())
}

func send(ctx context.Context, lane chan<- chunk, one chunk) bool {
	select {
	case lane <- one:
		return true
	case <-ctx.Done():
		if one.err == nil {
			return false
		}
	}
	// who closes the stream takes what is left
	lane <- one
	return true
}

// noted remembers why a call ended, which the readers of Arrow wrap in words of their own.
type noted struct {
	call interface {
		Recv() (*flight.FlightData, error)
		Trailer() metadata.MD
	}
	url string
	// hasBegun: a message came.
	hasBegun bool
	err      error
}

func (n *noted) Recv() (*flight.FlightData, error) {
	data, err := n.call.Recv()
	switch {
	case err == nil:
		n.hasBegun = true
	case err != io.EOF && n.hasBegun:
		n.err = lost(err, n.call.Trailer(), n.url)
	case err != io.EOF:
		n.err = translate(err, n.call.Trailer(), n.url)
	}
	return data, err
}

// failure gives the error of the call behind one of Arrow.
func (n *noted) failure(err error) error {
	switch {
	case n.err != nil:
		return n.err
	case err != nil && err != io.EOF:
		return protocolError(n.url, err.Error())
	}
	return nil
}
