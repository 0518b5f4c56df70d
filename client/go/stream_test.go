package rasterflight

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

var anything = &rasterflightv1.ReadRequest{Collection: "toy"}

// read takes chips as "record:pixels of the band red".
func read(t *testing.T, client *Client, opts ...ReadOption) ([]string, *Stream, error) {
	t.Helper()
	plan, err := client.Plan(context.Background(), anything)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := plan.Read(context.Background(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var chips []string
	for chip, err := range stream.Chips() {
		if err != nil {
			return chips, stream, err
		}
		for _, band := range chip.Bands {
			pixels, err := PixelsOf[uint16](chip, band.Name)
			if err != nil {
				t.Fatal(err)
			}
			chips = append(chips, fmt.Sprint(chip.RecordID, ":", band.Name, pixels.Values))
		}
	}
	return chips, stream, stream.Err()
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBlocksArePutTogether(t *testing.T) {
	schema := chipsSchema(false, "red", "nir")
	client := serve(t, &fake{schema: schema, streams: [][]any{{
		batchOf(t, schema, row("a", 1, 0, "red", 1, 2), row("b", 3, 0, "red", 1, 2), row("b", 2, 0, "nir", 7, 8)),
		batchOf(t, schema, row("b", 3, 1, "red", 3, 4, 5, 6), row("b", 2, 1, "nir", 9, 10), row("c", 1, 0, "blue", 1, 2)),
	}}})
	chips, stream, err := read(t, client)
	if err != nil {
		t.Fatal(err)
	}
	same(t, chips, "a:red[1 2]", "b:red[1 2 3 4 5 6]", "b:nir[7 8 9 10]")
	if stream.Rows() != 6 {
		t.Error(stream.Rows())
	}
}

func TestFactsOfAChip(t *testing.T) {
	schema := chipsSchema(false, "red?")
	whole := `{"record_id": "a", "chip_height": 2, "chip_width": 2, "row_off": %d, "height": 1, "width": 2, "red": [%s]}`
	client := serve(t, &fake{schema: schema, streams: [][]any{{
		batchOf(t, schema, fmt.Sprintf(whole, 0, "5, null")), batchOf(t, schema, fmt.Sprintf(whole, 1, "null, 6")),
	}}})
	plan, err := client.Plan(context.Background(), anything)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := plan.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for chip, err := range stream.Chips() {
		if err != nil {
			t.Fatal(err)
		}
		if chip.Datetime != time.Date(2024, 1, 1, 10, 30, 0, 0, time.UTC) || !math.IsNaN(chip.CloudCover) || chip.GeometryID != 1 ||
			chip.CRS != "EPSG:32618" || chip.Height != 2 || chip.Width != 2 || chip.Collection != "toy" {
			t.Errorf("%+v", chip)
		}
		pixels, err := PixelsOf[uint16](chip, "red")
		if err != nil || !slices.Equal(pixels.Mask, []bool{false, true, true, false}) || *pixels.Nodata != 0 {
			t.Error(pixels, err)
		}
		if x, y := pixels.XY(1, 1); x != 500015 || y != 4499985 {
			t.Error(x, y)
		}
	}
}

func TestEndpointsComeInOrder(t *testing.T) {
	schema := chipsSchema(false, "red")
	var streams [][]any
	var want []string
	for i := range 9 {
		var items []any
		for j := range 5 {
			items = append(items, batchOf(t, schema, row(fmt.Sprint(i, "-", j), 1, 0, "red", i, j)))
			want = append(want, fmt.Sprintf("%d-%d:red[%d %d]", i, j, i, j))
		}
		streams = append(streams, items)
	}
	client := serve(t, &fake{schema: schema, streams: streams})
	for _, parallel := range []int{0, 1, 3, 20} {
		chips, _, err := read(t, client, Parallel(parallel))
		if err != nil {
			t.Fatal(err)
		}
		same(t, chips, want...)
	}
	chips, _, err := read(t, client, Unordered())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(chips)
	same(t, chips, want...)
}

func TestUnorderedDoesNotWaitForTheFirst(t *testing.T) {
	schema := chipsSchema(false, "red")
	server := &fake{schema: schema, held: make(chan struct{}), streams: [][]any{
		{batchOf(t, schema, row("first", 1, 0, "red", 1, 2))}, {batchOf(t, schema, row("second", 1, 0, "red", 3, 4))},
	}}
	plan, err := serve(t, server).Plan(context.Background(), anything)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := plan.Read(context.Background(), Unordered())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var records []string
	for chip, err := range stream.Chips() {
		if err != nil {
			t.Fatal(err)
		}
		if records = append(records, chip.RecordID); len(records) == 1 {
			close(server.held)
		}
	}
	same(t, records, "second", "first")
}

func TestRecordsThatFailedAreLeftOutWhole(t *testing.T) {
	schema := chipsSchema(true, "red")
	failed := `{"record_id": "b", "chip_height": 0, "chip_width": 0, "row_off": 0, "height": 0, "width": 0, "error": "it is damaged"}`
	client := serve(t, &fake{schema: schema, streams: [][]any{{
		batchOf(t, schema, row("a", 1, 0, "red", 1, 2), row("b", 1, 0, "red", 3, 4), row("b", 2, 0, "red", 3, 4)),
		batchOf(t, schema, failed, row("b", 1, 0, "red", 5, 6), row("c", 1, 0, "red", 7, 8)),
	}}})
	chips, stream, err := read(t, client)
	if err != nil {
		t.Fatal(err)
	}
	same(t, chips, "a:red[1 2]", "c:red[7 8]")
	if skipped := stream.Skipped(); len(skipped) != 1 || skipped[0] != (SkippedRecord{"b", "it is damaged"}) {
		t.Error(skipped)
	}
}

func TestStreamsThatEndInsideAChip(t *testing.T) {
	schema := chipsSchema(false, "red")
	client := serve(t, &fake{schema: schema, streams: [][]any{{batchOf(t, schema, row("a", 3, 0, "red", 1, 2))}}})
	if _, _, err := read(t, client); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "ended inside a chip of a") {
		t.Error(err)
	}
}

func TestRowsThatAreNone(t *testing.T) {
	schema := chipsSchema(false, "red")
	for words, rows := range map[string]string{
		"lies outside of its chip":    row("a", 3, 3, "red", 1, 2),
		"has 4 pixels, and not 1 x 2": strings.Replace(row("a", 2, 0, "red", 1, 2, 3, 4), `"height": 2,`, `"height": 1,`, 1),
	} {
		client := serve(t, &fake{schema: schema, streams: [][]any{{batchOf(t, schema, rows)}}})
		if _, _, err := read(t, client); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), words) {
			t.Error(err)
		}
	}
}

func TestTicketsWithoutAPlan(t *testing.T) {
	schema := chipsSchema(false, "red")
	server := &fake{schema: schema, streams: [][]any{{batchOf(t, schema, row("a", 1, 0, "red", 1, 2))}, {}}}
	client := serve(t, server)
	for collection, rows := range map[string]int64{"0": 1, "1": 0} {
		stream, err := client.Open(context.Background(), []byte(`{"collection": "`+collection+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		for stream.Next() {
		}
		if stream.Err() != nil || stream.Rows() != rows || !stream.Schema().Equal(schema) {
			t.Error(stream.Err(), stream.Rows())
		}
		stream.Close()
	}
	server.busy = map[string]int{"read": 99}
	client.retries = 0
	if _, err := client.Open(context.Background(), []byte(`{"collection": "0"}`)); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if server.count("plan") != 0 {
		t.Error(server.calls)
	}
}

func TestCancelledReads(t *testing.T) {
	schema := chipsSchema(false, "red")
	server := &fake{schema: schema, held: make(chan struct{}), streams: [][]any{{batchOf(t, schema, row("a", 1, 0, "red", 1, 2))}}}
	plan, err := serve(t, server).Plan(context.Background(), anything)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	stream, err := plan.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if stream.Next() || !errors.Is(stream.Err(), context.DeadlineExceeded) {
		t.Error(stream.Err())
	}
	stream.Close()
	stream.Close()
	if _, err := plan.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestTokensGoWithEveryCall(t *testing.T) {
	server := &fake{schema: chipsSchema(false)}
	t.Setenv("RASTERFLIGHT_TOKEN", "from-the-environment")
	serve(t, server)
	serve(t, server, WithToken("given"))
	same(t, server.tokens, "Bearer from-the-environment", "Bearer given")
}

func TestOtherLayouts(t *testing.T) {
	client := serve(t, &fake{schema: chipsSchema(false, "red"), streams: [][]any{{}}})
	plan, err := client.Plan(context.Background(), anything)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := plan.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, err := range stream.Samples() {
		if !errors.Is(err, ErrUnsupportedLayout) || !strings.Contains(err.Error(), "not points") {
			t.Error(err)
		}
	}
}
