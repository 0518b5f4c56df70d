package rasterflight

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

func TestRequestsAreWrittenDown(t *testing.T) {
	request := Request{
		Bands:      []string{"red", "nir08"},
		Geometries: BBoxes(BBox{1, 2, 3, 4}, BBox{5, 6, 7, 8}).In("EPSG:32618"),
		Filters: []Filter{
			CloudCoverLT(20), DateRange("2018-04-01", ""), InBBox(BBox{-74, 40, -73, 41}), IDs("a", "b"), Split("fold", "train"),
			Where(`platform = 'landsat-8'`), Intersects(WKB([]byte{1})),
		},
		Grid: Grid{
			TargetCRS: "EPSG:3857", Resolution: []float64{30}, Resampling: Cubic, BandResampling: map[string]Resampling{"red": Mode},
			Align: []float64{0}, WholeAreas: true, Part: &BBox{1, 1, 2, 2},
		},
		AllTouched: true, Masked: true, Scaled: true,
		Columns: []string{"red"}, GeometryIDs: []int64{2}, Layout: LayoutOutlines, OnError: Skip, Compression: ZSTD, BatchBytes: 1 << 20, Snapshot: "s",
	}
	message, err := request.Message("ny")
	if err != nil {
		t.Fatal(err)
	}
	want := new(rasterflightv1.ReadRequest)
	if err := prototext.Unmarshal([]byte(`
		collection: "ny" bands: ["red", "nir08"]
		geometries { crs: "EPSG:32618" bboxes {
			values { minx: 1 miny: 2 maxx: 3 maxy: 4 } values { minx: 5 miny: 6 maxx: 7 maxy: 8 } } }
		filters { cloud_cover_lt: 20 }
		filters { date_range { start: "2018-04-01" } }
		filters { bbox { minx: -74 miny: 40 maxx: -73 maxy: 41 } }
		filters { ids: ["a", "b"] }
		filters { split: "train" split_column: "fold" }
		filters { where: "platform = 'landsat-8'" }
		filters { geometries { crs: "OGC:CRS84" wkb { values: "\x01" } } }
		grid {
			all_touched: true target_crs: "EPSG:3857" masked: true values: VALUES_SCALED resolution: 30 resampling: RESAMPLING_CUBIC
			band_resampling { key: "red" value: RESAMPLING_MODE } common: true anchor: 0 whole_areas: true
			part { minx: 1 miny: 1 maxx: 2 maxy: 2 } }
		columns: "red" geometry_ids: 2 layout: LAYOUT_OUTLINES on_error: ON_ERROR_SKIP snapshot: "s" batch_bytes: 1048576 compression: COMPRESSION_ZSTD
	`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(message, want) {
		t.Error(prototext.Format(message))
	}
}

func TestWhatIsNotSaidIsNotSent(t *testing.T) {
	message, err := Request{Bands: []string{"red"}}.Message("ny")
	if err != nil || !proto.Equal(message, &rasterflightv1.ReadRequest{Collection: "ny", Bands: []string{"red"}}) {
		t.Error(prototext.Format(message), err)
	}
	message, err = Request{Points: &Points{X: []float64{1}, Y: []float64{2}, Match: MatchLatest}}.Message("ny")
	if err != nil || message.Layout != LayoutPoints || message.GetPoints().Crs != "OGC:CRS84" || message.GetPoints().Match != MatchLatest {
		t.Error(prototext.Format(message), err)
	}
	message, err = Request{Windows: []Window{{1, 2, 3, 4}}, Grid: Grid{Like: &TargetGrid{"EPSG:4326", Affine{1, 0, 0, 0, -1, 0}, 5, 6}}}.Message("ny")
	if err != nil || !message.Grid.Common || message.Grid.Grid.Width != 5 || message.GetWindows().Values[0].Width != 3 {
		t.Error(prototext.Format(message), err)
	}
}

func TestEmptyIsNotAll(t *testing.T) {
	for field, request := range map[string]Request{
		"geometries":            {Geometries: BBoxes()},
		"windows":               {Windows: []Window{}},
		"filters[0].ids":        {Filters: []Filter{IDs()}},
		"filters[1].where":      {Filters: []Filter{CloudCoverLT(1), Where(" ")}},
		"filters[0].split":      {Filters: []Filter{Split("")}},
		"filters[0].date_range": {Filters: []Filter{DateRange("", "")}},
		"filters[0].geometries": {Filters: []Filter{Intersects(WKB())}},
		"where":                 {Windows: []Window{{0, 0, 1, 1}}, Geometries: BBoxes(BBox{})},
	} {
		_, err := request.Message("ny")
		var told *Error
		if !errors.As(err, &told) || told.Code != ErrBadRequest || told.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestTickets(t *testing.T) {
	request := &rasterflightv1.ReadRequest{Collection: "ny"}
	ticket, err := Ticket(request)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, read := new(anypb.Any), new(rasterflightv1.ReadRequest)
	if err := proto.Unmarshal(ticket, wrapped); err != nil {
		t.Fatal(err)
	}
	if err := wrapped.UnmarshalTo(read); err != nil || !proto.Equal(read, request) {
		t.Error(err, read)
	}
}

func TestGeoJSON(t *testing.T) {
	square := `[[[0, 0], [1, 0, 99], [1, 1], [0, 0]]]`
	areas, err := GeoJSON([]byte(`{"type": "FeatureCollection", "features": [
		{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": ` + square + `}},
		{"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [` + square + `]}}]}`))
	if err != nil || areas.Len() != 2 {
		t.Fatal(err)
	}
	ring := "\x04\x00\x00\x00" + strings.Repeat("\x00", 16) +
		"\x00\x00\x00\x00\x00\x00\xf0\x3f" + strings.Repeat("\x00", 8) +
		"\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\xf0\x3f" + strings.Repeat("\x00", 16)
	polygon := "\x01\x03\x00\x00\x00\x01\x00\x00\x00" + ring
	if string(areas.wkb[0]) != polygon {
		t.Errorf("%x", areas.wkb[0])
	}
	if string(areas.wkb[1]) != "\x01\x06\x00\x00\x00\x01\x00\x00\x00"+polygon {
		t.Errorf("%x", areas.wkb[1])
	}
	for text, words := range map[string]string{
		`{`: "no GeoJSON",
		`{"type": "Point", "coordinates": [1, 2]}`:         "area 1 is a Point, expected a Polygon or a MultiPolygon; single pixels are asked for by Points",
		`{"type": "GeometryCollection"}`:                   `area 1 is a "GeometryCollection"`,
		`{"type": "Feature", "geometry": null}`:            "area 1 has no geometry",
		`{"type": "Polygon", "coordinates": [[1, 2]]}`:     "are not those of a Polygon",
		`{"type": "Polygon", "coordinates": [[[1], [2]]]}`: "a position of 1 numbers",
	} {
		if _, err := GeoJSON([]byte(text)); !errors.Is(err, ErrBadGeometry) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
