package rasterflight_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// Areas that are many enough to go up by themselves: some two megabytes of WKB.
func manyAreas() *rf.Geometries {
	boxes := make([]rf.BBox, 30_000)
	for i := range boxes {
		x, y := -74.3+0.8*float64(i%200)/200, 40.4+0.6*float64(i/200)/150
		boxes[i] = rf.BBox{MinX: x, MinY: y, MaxX: x + 0.01, MaxY: y + 0.01}
	}
	return rf.BBoxes(boxes...)
}

func TestLargeAreasGoUpByThemselves(t *testing.T) {
	client, ny := open(t, "ny")
	areas := manyAreas()
	request := rf.Request{Bands: []string{"red"}, Geometries: areas, Filters: []rf.Filter{rf.DateRange("2018-07-01", "2018-07-31")}}
	stream := read(t, ny, request)
	if sent := len(stream.Plan().Endpoints[0].Ticket); sent > 1000 {
		t.Errorf("the ticket has %d bytes", sent)
	}
	if uploads := counter(t, client, "uploads"); uploads != 1 {
		t.Errorf("%d uploads", uploads)
	}
	got := rowsOf(t, stream)
	if uploads := counter(t, client, "uploads"); uploads != 0 {
		t.Errorf("%d uploads are left", uploads)
	}
	// a few of them go with the ticket, and give the same
	few := request
	few.Geometries = rf.BBoxes(rf.BBox{MinX: -74.3, MinY: 40.4, MaxX: -74.29, MaxY: 40.41})
	for _, row := range rowsOf(t, read(t, ny, few)) {
		if !strings.Contains(strings.Join(got, "\n"), row) {
			t.Error("an area sent up gives other pixels than in a ticket")
		}
	}
	// the plan of a read that is over: the areas are not there any more, and go with the ticket
	again, err := stream.Plan().Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, "again", rowsOf(t, again), got)
}

func TestUploads(t *testing.T) {
	client, ny := open(t, "ny")
	ctx := context.Background()
	upload, err := client.Upload(ctx, manyAreas())
	if err != nil {
		t.Fatal(err)
	}
	if upload.Areas != 30_000 || upload.Geometries().Len() != 30_000 || upload.Expires.IsZero() {
		t.Errorf("%+v", upload)
	}
	july := ny.Subset(rf.DateRange("2018-07-01", "2018-07-31"))
	request := rf.Request{Bands: []string{"red"}, Geometries: upload.Geometries(), GeometryIDs: []int64{15_000}}
	first := rowsOf(t, read(t, july, request))
	sameRows(t, "again", rowsOf(t, read(t, july, request)), first)
	if len(first) != 1 {
		t.Errorf("%d chips", len(first))
	}
	if err := upload.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := july.Plan(ctx, request); !errors.Is(err, rf.ErrUploadNotFound) {
		t.Error(err)
	}
	for words, one := range map[string]struct {
		areas *rf.Geometries
		code  rf.Code
	}{
		"sent up already": {upload.Geometries(), rf.ErrBadRequest},
		"MinX > MaxX":     {rf.BBoxes(rf.BBox{MinX: 170, MinY: 0, MaxX: -170, MaxY: 1}), rf.ErrBadRequest},
		"has no area":     {rf.WKB(), rf.ErrBadRequest},
	} {
		if _, err := client.Upload(ctx, one.areas); !errors.Is(err, one.code) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}
