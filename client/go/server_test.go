package rasterflight_test

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// These tests need a real server with the collections "ny" (the bundled scenes of New York) and "made" (two records of one band, of which
// 33 windows are more than one endpoint carries); tests/integration/test_go.py starts one.
func connect(t *testing.T) *rf.Client {
	t.Helper()
	if os.Getenv("RASTERFLIGHT_URL") == "" {
		t.Skip("RASTERFLIGHT_URL names no server")
	}
	client, err := rf.Connect(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func open(t *testing.T, name string) (*rf.Client, *rf.Collection) {
	t.Helper()
	client := connect(t)
	collection, err := client.Collection(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return client, collection
}

var boroughs = rf.BBoxes(rf.BBox{MinX: -74.3, MinY: 40.4, MaxX: -73.5, MaxY: 41.0})

func TestCollections(t *testing.T) {
	client, ny := open(t, "ny")
	collections, err := client.Collections(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range collections {
		names = append(names, one.Name)
	}
	if !slices.Equal(names, []string{"made", "ny"}) {
		t.Error(names)
	}
	if ny.RecordCount != 6 || ny.CRS[0] != "EPSG:32618" || ny.CRSRecords["EPSG:32618"] != 6 || ny.Extent == nil || ny.Snapshot == "" {
		t.Errorf("%+v", ny.About)
	}
	if ny.Start.Format(time.DateOnly) != "2018-04-05" || ny.End.Format(time.DateOnly) != "2018-10-30" || ny.Months["2018-04"] != 2 {
		t.Errorf("%+v", ny.About)
	}
	if red := ny.Band("red"); red == nil || red.DType != "uint16" || len(red.Resolution) == 0 || ny.Band("rad") != nil {
		t.Errorf("%+v", ny.Bands)
	}
	if !ny.Schema.HasField("landsat:wrs_row") || !ny.Schema.HasField("geometry") {
		t.Error(ny.Schema)
	}
}

func TestPlans(t *testing.T) {
	_, ny := open(t, "ny")
	plan, err := ny.Subset(rf.DateRange("2018-07-01", "2018-10-31")).Plan(context.Background(),
		rf.Request{Bands: []string{"red", "nir08"}, Geometries: boroughs})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Records != 3 || plan.Chips != 3 || plan.Rows != 3 || plan.BytesToFetch == 0 || plan.BytesToReceive == 0 ||
		plan.Snapshot != ny.Snapshot || len(plan.Endpoints) != 1 || plan.Endpoints[0].Expires.Before(time.Now()) {
		t.Errorf("%+v", plan)
	}
	bands := rf.BandFields(plan.Schema)
	if len(bands) != 2 || bands[1].Name != "nir08" || bands[1].DType != "uint16" {
		t.Errorf("%+v", bands)
	}
}

func TestRecords(t *testing.T) {
	_, ny := open(t, "ny")
	stream, err := ny.Records(context.Background(), rf.DateRange("2018-05-01", ""), rf.Where(`"landsat:wrs_row" = '032'`))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	rows := int64(0)
	for stream.Next() {
		rows += stream.RecordBatch().NumRows()
	}
	if stream.Err() != nil || rows != 3 || rows != stream.Plan().Rows {
		t.Error(rows, stream.Err())
	}
}

func TestFloatsAndScaledPixels(t *testing.T) {
	_, ny := open(t, "ny")
	request := rf.Request{Bands: []string{"red"}, Geometries: boroughs, Masked: true}
	for chip, err := range read(t, ny, request).Chips() {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := rf.PixelsOf[uint16](chip, "red")
		if err != nil {
			t.Fatal(err)
		}
		floats, err := chip.Floats("red")
		if err != nil {
			t.Fatal(err)
		}
		for i, value := range floats.Values {
			if raw.Mask[i] != math.IsNaN(value) || !raw.Mask[i] && float64(raw.Values[i]) != value {
				t.Fatalf("pixel %d is %d, and %g", i, raw.Values[i], value)
			}
		}
	}
	request.Scaled, request.Masked = true, false
	for chip, err := range read(t, ny, request).Chips() {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rf.PixelsOf[float32](chip, "red"); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, collection *rf.Collection, request rf.Request, opts ...rf.ReadOption) *rf.Stream {
	t.Helper()
	stream, err := collection.Read(context.Background(), request, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.Close)
	return stream
}

func TestCompressedRowsAreTheSame(t *testing.T) {
	_, ny := open(t, "ny")
	var first []byte
	for _, compression := range []rf.Compression{rf.NoCompression, rf.LZ4, rf.ZSTD} {
		request := rf.Request{Bands: []string{"red"}, Windows: []rf.Window{{ColOff: 10, RowOff: 10, Width: 32, Height: 32}}, Compression: compression}
		var pixels []byte
		for chip, err := range read(t, ny, request).Chips() {
			if err != nil {
				t.Fatal(err)
			}
			pixels = append(pixels, chip.Bands[0].Data...)
		}
		if first == nil {
			first = pixels
		}
		if len(pixels) != 6*32*32*2 || string(pixels) != string(first) {
			t.Errorf("%s: %d bytes", compression, len(pixels))
		}
	}
}

func manyWindows() rf.Request {
	return rf.Request{Bands: []string{"B1"}, Windows: slices.Repeat([]rf.Window{{Width: 2048, Height: 2048}}, 33)}
}

func TestManyEndpoints(t *testing.T) {
	_, made := open(t, "made")
	request := manyWindows()
	var whole string
	for name, opts := range map[string][]rf.ReadOption{"ordered": nil, "unordered": {rf.Unordered()}} {
		stream := read(t, made, request, opts...)
		if n := len(stream.Plan().Endpoints); n < 2 {
			t.Fatalf("%d endpoints", n)
		}
		var places []string
		for chip, err := range stream.Chips() {
			if err != nil {
				t.Fatal(err)
			}
			if chip.Height != 2048 || len(chip.Bands[0].Data) != 2048*2048*2 {
				t.Fatal(chip.Height, len(chip.Bands[0].Data))
			}
			places = append(places, chip.RecordID+"/"+string(rune('0'+chip.GeometryID)))
		}
		if len(places) != 66 {
			t.Errorf("%s: %d chips", name, len(places))
		}
		if done, total := stream.Progress(); done != total || total != 66*2048*2048*2 {
			t.Errorf("%s: %d of %d bytes", name, done, total)
		}
		if name == "unordered" {
			slices.Sort(places)
		} else if !slices.IsSorted(places) {
			t.Errorf("%s is out of order", name)
		}
		if whole == "" {
			whole = strings.Join(places, " ")
		} else if whole != strings.Join(places, " ") {
			t.Errorf("%s has other chips", name)
		}
	}
}

func TestPoints(t *testing.T) {
	_, ny := open(t, "ny")
	points := rf.Points{X: []float64{-74.0, 0}, Y: []float64{40.75, 0}}
	samples, err := ny.SamplePoints(context.Background(), points, []string{"red", "nir08"}, rf.DateRange("2018-07-01", "2018-07-31"))
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 2 || samples[0].Band != "red" || samples[1].Band != "nir08" || samples[0].PointIndex != 0 ||
		samples[0].X != -74 || samples[0].RasterCRS != 32618 || samples[0].Value <= 0 || samples[0].Datetime.Month() != time.July {
		t.Errorf("%+v", samples)
	}
	points.MaxDistancePixels, points.Neighbourhood, points.Match = 1, rf.NeighbourhoodAlways, rf.MatchLatest
	samples, err = ny.SamplePoints(context.Background(), points, []string{"red"})
	if err != nil || len(samples) != 1 || len(samples[0].Neighbourhood) != 9 || samples[0].Neighbourhood[4] != samples[0].Value {
		t.Errorf("%+v, %v", samples, err)
	}
}

func TestRowsOfPixels(t *testing.T) {
	_, ny := open(t, "ny")
	stream := read(t, ny, rf.Request{
		Bands: []string{"red", "nir08"}, Windows: []rf.Window{{ColOff: 10, RowOff: 10, Width: 4, Height: 3}},
		Layout: rf.LayoutPixels, Columns: []string{"row", "nir08"},
	})
	for stream.Next() {
		if columns := stream.RecordBatch().NumCols(); columns != 2 {
			t.Error(columns)
		}
	}
	if stream.Err() != nil || stream.Rows() != 6*12 || stream.Rows() != stream.Plan().Rows {
		t.Error(stream.Rows(), stream.Plan().Rows, stream.Err())
	}
}
