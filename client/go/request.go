package rasterflight

import (
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// Kinds of values in requests; they are those of the messages.
type (
	Layout        = rasterflightv1.Layout
	OnError       = rasterflightv1.OnError
	Compression   = rasterflightv1.Compression
	Resampling    = rasterflightv1.Resampling
	Match         = rasterflightv1.Match
	Neighbourhood = rasterflightv1.Neighbourhood
)

const (
	// LayoutChips: a row is a block of pixels of one record and area. The default, unless Points are given.
	LayoutChips = rasterflightv1.Layout_LAYOUT_CHIPS
	// LayoutRecords: a row is a record of the index.
	LayoutRecords = rasterflightv1.Layout_LAYOUT_RECORDS
	// LayoutPoints: a row is a pixel of one point, record and band.
	LayoutPoints = rasterflightv1.Layout_LAYOUT_POINTS
	// LayoutOutlines: a row is a chip without its pixels; no file is read.
	LayoutOutlines = rasterflightv1.Layout_LAYOUT_OUTLINES
	// LayoutPixels: a row is a pixel of one record and area, a column per band, null where it is invalid.
	LayoutPixels = rasterflightv1.Layout_LAYOUT_PIXELS

	// Raise: the first record that cannot be read ends the read. The default.
	Raise = rasterflightv1.OnError_ON_ERROR_RAISE
	// Skip: the rest comes back, and [Stream.Skipped] tells what is missing.
	Skip = rasterflightv1.OnError_ON_ERROR_SKIP

	// NoCompression, also where the client says another.
	NoCompression = rasterflightv1.Compression_COMPRESSION_NONE
	LZ4           = rasterflightv1.Compression_COMPRESSION_LZ4
	ZSTD          = rasterflightv1.Compression_COMPRESSION_ZSTD

	// How pixels of another grid are made, as GDAL means it.
	Nearest  = rasterflightv1.Resampling_RESAMPLING_NEAREST
	Bilinear = rasterflightv1.Resampling_RESAMPLING_BILINEAR
	Cubic    = rasterflightv1.Resampling_RESAMPLING_CUBIC
	Average  = rasterflightv1.Resampling_RESAMPLING_AVERAGE
	Mode     = rasterflightv1.Resampling_RESAMPLING_MODE

	// MatchAll: a row for each record that holds the point. The default.
	MatchAll = rasterflightv1.Match_MATCH_ALL
	// MatchLatest: one row per point and band, of the newest record with a valid value.
	MatchLatest = rasterflightv1.Match_MATCH_LATEST

	NeighbourhoodOff            = rasterflightv1.Neighbourhood_NEIGHBOURHOOD_OFF
	NeighbourhoodAlways         = rasterflightv1.Neighbourhood_NEIGHBOURHOOD_ALWAYS
	NeighbourhoodIfCenterNodata = rasterflightv1.Neighbourhood_NEIGHBOURHOOD_IF_CENTER_NODATA
)

// Request says what to read of a collection. What is not said has its default.
type Request struct {
	// Bands in the order in which they come back; needed for all but records.
	Bands []string
	// What to cut out of each record: areas, windows, or single pixels at points. At most one; none: the whole of each record.
	Geometries *Geometries
	Windows    []Window
	Points     *Points
	// Filters say which records; all must hold.
	Filters []Filter
	// Grid that the pixels come on; the zero value: each record's own.
	Grid Grid
	// AllTouched keeps every pixel that an area touches, instead of those whose centre lies inside.
	AllTouched bool
	// Masked tells invalid pixels; see [Pixels].
	Masked bool
	// Scaled gives pixel * scale + offset, as float32 or float64; invalid pixels are NaN.
	Scaled bool
	Layout Layout
	// Columns that come back, in this order; nil: all of the layout. Bands that are not among them are not read.
	Columns []string
	// GeometryIDs are numbers of the areas or windows that are read; nil: all. They keep their numbers.
	GeometryIDs []int64
	// OnError says what happens when a record cannot be read.
	OnError     OnError
	Compression Compression
	// BatchBytes is the size of a record batch to aim at, at most 8 MiB; 0: the server's choice.
	BatchBytes int64
	// Snapshot of the index that must answer; empty: the one being served.
	Snapshot string
}

// Window is a rectangle of pixels on each band's own grid. Parts outside the raster are cut off.
type Window struct {
	ColOff, RowOff, Width, Height int64
}

// Points are places to take single pixels at.
type Points struct {
	// CRS of the coordinates, x before y: anything PROJ understands; empty: lon/lat (OGC:CRS84).
	CRS  string
	X, Y []float64
	// Match says which of the records that hold a point give rows.
	Match Match
	// MaxDistancePixels: where the pixel of a point is invalid, look for the nearest valid one so many columns and rows around.
	MaxDistancePixels int32
	// Neighbourhood says which rows carry the pixels around the point, as far as MaxDistancePixels.
	Neighbourhood Neighbourhood
}

// Message writes the request down as it goes to the server. ErrBadRequest: a list is there, but empty, which on the wire would mean
// the contrary; the rest is the server's to check.
func (r Request) Message(collection string) (*rasterflightv1.ReadRequest, error) {
	message := &rasterflightv1.ReadRequest{
		Collection:  collection,
		Bands:       r.Bands,
		Layout:      r.Layout,
		Columns:     r.Columns,
		GeometryIds: r.GeometryIDs,
		OnError:     r.OnError,
		Compression: r.Compression,
		BatchBytes:  r.BatchBytes,
		Snapshot:    r.Snapshot,
	}
	if r.Columns != nil && len(r.Columns) == 0 || r.GeometryIDs != nil && len(r.GeometryIDs) == 0 {
		return nil, badRequest("columns", "Columns or GeometryIDs are empty; nil asks for all")
	}
	if err := r.setWhere(message); err != nil {
		return nil, err
	}
	for i, filter := range r.Filters {
		said, err := filter(i)
		if err != nil {
			return nil, err
		}
		message.Filters = append(message.Filters, said)
	}
	message.Grid = r.Grid.message()
	message.Grid.AllTouched = r.AllTouched
	message.Grid.Masked = r.Masked
	if r.Scaled {
		message.Grid.Values = rasterflightv1.Values_VALUES_SCALED
	}
	if proto.Size(message.Grid) == 0 {
		message.Grid = nil
	}
	if r.Points != nil && r.Layout == 0 {
		message.Layout = LayoutPoints
	}
	return message, nil
}

func (r Request) setWhere(message *rasterflightv1.ReadRequest) error {
	given := 0
	if r.Geometries != nil {
		areas, err := r.Geometries.message("geometries")
		if err != nil {
			return err
		}
		message.Where = &rasterflightv1.ReadRequest_Geometries{Geometries: areas}
		given++
	}
	if r.Windows != nil {
		if len(r.Windows) == 0 {
			return badRequest("windows", "windows is empty; nil asks for whole records")
		}
		windows := make([]*rasterflightv1.Window, len(r.Windows))
		for i, w := range r.Windows {
			windows[i] = &rasterflightv1.Window{ColOff: w.ColOff, RowOff: w.RowOff, Width: w.Width, Height: w.Height}
		}
		message.Where = &rasterflightv1.ReadRequest_Windows{Windows: &rasterflightv1.Windows{Values: windows}}
		given++
	}
	if p := r.Points; p != nil {
		message.Where = &rasterflightv1.ReadRequest_Points{Points: &rasterflightv1.Points{
			Crs: crsOrLonLat(p.CRS), X: p.X, Y: p.Y,
			Match: p.Match, MaxDistancePixels: p.MaxDistancePixels, Neighbourhood: p.Neighbourhood,
		}}
		given++
	}
	if given > 1 {
		return badRequest("where", "of Geometries, Windows and Points more than one is given")
	}
	return nil
}
