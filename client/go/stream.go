package rasterflight

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

const (
	defaultParallel = 4
	// Batches of an endpoint that are pulled ahead of the caller.
	ahead = 2
)

// ReadOption changes how the parts of a read are taken.
type ReadOption func(*reading)

type reading struct {
	parallel  int
	unordered bool
}

// Parallel says how many endpoints are read at the same time, at least 1; 4 unless said.
func Parallel(most int) ReadOption {
	return func(r *reading) { r.parallel = max(most, 1) }
}

// Unordered gives batches as they arrive from any endpoint, instead of in the order of the read. A chip still comes whole.
func Unordered() ReadOption {
	return func(r *reading) { r.unordered = true }
}

// SkippedRecord is a record that could not be read, in a read with OnError: Skip.
type SkippedRecord struct {
	RecordID string
	// Reason in the words of the server.
	Reason string
}

// Stream gives the rows of a read as they arrive; they can be taken once, by one goroutine. It is an [array.RecordReader].
//
// A stream that is not taken to its end must be closed.
type Stream struct {
	plan   *Plan
	cancel context.CancelFunc
	// lanes are taken one after the other.
	lanes   []chan chunk
	working sync.WaitGroup

	current  chunk
	err      error
	rows     int64
	received map[int]*rasterflightv1.Progress
	skipped  []SkippedRecord
	failed   map[SkippedRecord]bool
}

var _ array.RecordReader = (*Stream)(nil)

// chunk is a batch and what came with it, or why there are no more; or the schema, where nobody knew it.
type chunk struct {
	endpoint int
	schema   *arrow.Schema
	batch    arrow.RecordBatch
	// progress up to and with the batch.
	progress *rasterflightv1.Progress
	err      error
}

// Read starts the read that was planned. It ends with the context.
func (p *Plan) Read(ctx context.Context, opts ...ReadOption) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, translate(err, nil, p.client.url)
	}
	said := reading{parallel: defaultParallel}
	for _, option := range opts {
		option(&said)
	}
	ctx, cancel := context.WithCancel(ctx)
	stream := &Stream{plan: p, cancel: cancel, received: map[int]*rasterflightv1.Progress{}, failed: map[SkippedRecord]bool{}}
	stream.start(ctx, said)
	return stream, nil
}

// Open reads a ticket at once, without a plan; its Plan has the schema alone.
func (c *Client) Open(ctx context.Context, ticket []byte) (*Stream, error) {
	stream, err := (&Plan{Endpoints: []Endpoint{{Ticket: ticket}}, Rows: -1, client: c}).Read(ctx)
	if err != nil {
		return nil, err
	}
	first := <-stream.lanes[0]
	if first.err != nil {
		stream.Close()
		return nil, first.err
	}
	stream.plan.Schema = first.schema
	return stream, nil
}

func (s *Stream) start(ctx context.Context, said reading) {
	endpoints := s.plan.Endpoints
	count := len(endpoints)
	if said.unordered {
		count = 1
	}
	for range count {
		s.lanes = append(s.lanes, make(chan chunk, ahead))
	}
	lanes, schema, slots := s.lanes, s.plan.Schema, make(chan struct{}, said.parallel)
	s.working.Add(1)
	go func() {
		defer s.working.Done()
		var readers sync.WaitGroup
		for i := range endpoints {
			slots <- struct{}{}
			readers.Add(1)
			go func() {
				defer readers.Done()
				lane := lanes[min(i, count-1)]
				s.readEndpoint(ctx, i, schema, lane)
				if !said.unordered {
					close(lane)
				}
				<-slots
			}()
		}
		readers.Wait()
		if said.unordered {
			close(lanes[0])
		}
	}()
}

// Schema of the rows.
func (s *Stream) Schema() *arrow.Schema { return s.plan.Schema }

// Plan is what was known before.
func (s *Stream) Plan() *Plan { return s.plan }

// Next waits for the next batch; false: there are no more, or Err says why.
func (s *Stream) Next() bool {
	s.drop()
	for s.err == nil && len(s.lanes) > 0 {
		one, open := <-s.lanes[0]
		switch {
		case !open:
			s.lanes = s.lanes[1:]
		case one.err != nil:
			s.Close()
			s.err = one.err
		default:
			s.current = one
			s.note(one)
			return true
		}
	}
	s.plan.sent.drop()
	return false
}

// note remembers what a batch says besides its rows.
func (s *Stream) note(one chunk) {
	s.rows += one.batch.NumRows()
	s.received[one.endpoint] = one.progress
	reasons, ids := column[*array.String](one.batch, "error"), column[*array.String](one.batch, "record_id")
	if reasons == nil || ids == nil {
		return
	}
	for row := range reasons.Len() {
		if reasons.IsNull(row) {
			continue
		}
		record := SkippedRecord{RecordID: clone(ids.Value(row)), Reason: clone(reasons.Value(row))}
		if !s.failed[record] {
			s.failed[record] = true
			s.skipped = append(s.skipped, record)
		}
	}
}

// RecordBatch is the batch that Next waited for; it is valid until the next call of Next, unless it is retained.
func (s *Stream) RecordBatch() arrow.RecordBatch { return s.current.batch }

// Record is an older name of RecordBatch.
//
// Deprecated: use RecordBatch.
func (s *Stream) Record() arrow.RecordBatch { return s.current.batch }

// Err says why the stream ended before its end; nil: it did not.
func (s *Stream) Err() error { return s.err }

// Rows counts the rows that came.
func (s *Stream) Rows() int64 { return s.rows }

// Progress tells the bytes of pixels that came, and that there are in all.
func (s *Stream) Progress() (done, total int64) {
	for _, one := range s.received {
		done += one.BytesDone
		total += one.BytesTotal
	}
	return done, max(total, s.plan.BytesToReceive)
}

// Skipped lists the records that could not be read, as far as the stream has been taken; only with OnError: Skip.
func (s *Stream) Skipped() []SkippedRecord { return slices.Clone(s.skipped) }

// Close ends the read, on the server too. After the end nothing happens.
func (s *Stream) Close() {
	s.cancel()
	s.drop()
	for _, lane := range s.lanes {
		for one := range lane {
			if one.batch != nil {
				one.batch.Release()
			}
		}
	}
	s.lanes = nil
	s.working.Wait()
	s.plan.sent.drop()
}

// Retain does nothing: a stream has one owner.
func (s *Stream) Retain() {}

// Release is Close.
func (s *Stream) Release() { s.Close() }

func (s *Stream) drop() {
	if s.current.batch != nil {
		s.current.batch.Release()
		s.current = chunk{}
	}
}
