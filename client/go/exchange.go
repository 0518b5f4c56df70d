package rasterflight

import (
	"context"
	"errors"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// What a set of points may be: how many, and how many pixels they look at in a band, and in all.
const mostPoints, mostBandPixels, mostPixels = 1 << 20, 2 << 20, 8 << 20

var placesSchema = arrow.NewSchema([]arrow.Field{
	{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "y", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
}, nil)

// SampleEach reads pixels at any number of places, x before y: they go up a set at a time while samples come back, set by set, each in
// the order of a read. The Points of the request say all but the coordinates.
//
// The places are taken in a goroutine of their own, ahead of the samples; it ends when they do, or at the next place after the samples
// are left or the context ends. A connection that breaks ends the samples with an error: places cannot be taken twice.
func (c *Collection) SampleEach(ctx context.Context, request Request, places iter.Seq2[float64, float64]) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var call *exchange
		command, size, err := c.exchanged(request)
		if err == nil {
			err = c.client.trying(ctx, func() error {
				call, err = c.client.exchange(ctx, command)
				return err
			})
		}
		if err != nil {
			yield(Sample{}, err)
			return
		}
		defer call.reader.Release()
		go call.send(ctx, places, size)
		for sample, err := range call.samples() {
			if !yield(sample, err) || err != nil {
				return
			}
		}
	}
}

// exchanged is what asks for an exchange, and how many points a set of it may have.
func (c *Collection) exchanged(request Request) (command []byte, size int, err error) {
	points := Points{}
	if request.Points != nil {
		points = *request.Points
	}
	if points.X != nil || points.Y != nil {
		return nil, 0, badRequest("points", "the places are given twice: leave X and Y of Points empty")
	}
	request.Points = &points
	message, err := c.message(request)
	if err != nil {
		return nil, 0, err
	}
	if message.Compression == 0 {
		message.Compression = c.client.compression
	}
	side := 2*int(max(points.MaxDistancePixels, 0)) + 1
	size = min(mostPoints, mostBandPixels/(side*side), mostPixels/(side*side*max(len(request.Bands), 1)))
	command, err = Ticket(message)
	return command, max(size, 1), err
}

// exchange is a call that takes points and gives rows.
type exchange struct {
	call     flight.FlightService_DoExchangeClient
	url      string
	writer   *flight.Writer
	messages *noted
	reader   *flight.Reader
}

func (c *Client) exchange(ctx context.Context, command []byte) (*exchange, error) {
	call, err := c.flight.DoExchange(ctx)
	if err != nil {
		return nil, translate(err, nil, c.url)
	}
	writer := flight.NewRecordWriter(call, ipc.WithSchema(placesSchema))
	writer.SetFlightDescriptor(&flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: command})
	// no places yet: the server shows whether it takes any, which can be asked again
	_ = writer.Write(newPlaces().batch())
	messages := &noted{call: call, url: c.url}
	reader, err := flight.NewRecordReader(messages)
	if err != nil {
		return nil, messages.failure(err)
	}
	if missing := missingColumns(reader.Schema(), sampleColumns); missing != "" {
		reader.Release()
		return nil, protocolError(c.url, "rows of points have no column "+missing)
	}
	return &exchange{call: call, url: c.url, writer: writer, messages: messages, reader: reader}, nil
}

// send sends the places up. What is at fault with them, the reader says.
func (e *exchange) send(ctx context.Context, places iter.Seq2[float64, float64], size int) {
	set := newPlaces()
	for x, y := range places {
		set.x.Append(x)
		set.y.Append(y)
		if set.x.Len() == size && e.writer.Write(set.batch()) != nil || ctx.Err() != nil {
			return
		}
	}
	if set.x.Len() > 0 {
		_ = e.writer.Write(set.batch())
	}
	_ = errors.Join(e.writer.Close(), e.call.CloseSend())
}

func (e *exchange) samples() iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for e.reader.Next() {
			rows := newSampleRows(e.reader.RecordBatch())
			if rows == nil {
				yield(Sample{}, protocolError(e.url, "columns of points are of other types"))
				return
			}
			for sample := range rows.samples() {
				if !yield(sample, nil) {
					return
				}
			}
		}
		if err := e.messages.failure(e.reader.Err()); err != nil {
			yield(Sample{}, err)
		}
	}
}

// places are points on their way up.
type places struct{ x, y *array.Float64Builder }

func newPlaces() places {
	return places{array.NewFloat64Builder(memory.DefaultAllocator), array.NewFloat64Builder(memory.DefaultAllocator)}
}

// batch takes them all.
func (p places) batch() arrow.RecordBatch {
	rows := int64(p.x.Len())
	return array.NewRecordBatch(placesSchema, []arrow.Array{p.x.NewArray(), p.y.NewArray()}, rows)
}
