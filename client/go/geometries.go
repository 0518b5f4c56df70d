package rasterflight

import (
	"fmt"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

const lonLat = "OGC:CRS84"

// BBox is a box: minx, miny, maxx, maxy. In degrees, one with MinX > 0 > MaxX crosses the antimeridian.
type BBox struct {
	MinX, MinY, MaxX, MaxY float64
}

func (b BBox) message() *rasterflightv1.BBox {
	return &rasterflightv1.BBox{Minx: b.MinX, Miny: b.MinY, Maxx: b.MaxX, Maxy: b.MaxY}
}

// Geometries are areas, numbered from 1 in their order; made by [BBoxes], [WKB], [GeoJSON] or [Upload.Geometries], in lon/lat unless [Geometries.In]
// says otherwise.
type Geometries struct {
	crs   string
	boxes []BBox
	wkb   [][]byte
	// upload that holds them instead, and how many they are.
	upload string
	count  int
}

// BBoxes are areas as boxes.
func BBoxes(boxes ...BBox) *Geometries { return &Geometries{boxes: boxes} }

// WKB are areas as polygons and multipolygons in ISO WKB or EWKB; an SRID inside is ignored.
func WKB(values ...[]byte) *Geometries { return &Geometries{wkb: values} }

// In says the CRS of the coordinates, x before y: anything PROJ understands ("EPSG:32618", WKT, PROJJSON).
func (g *Geometries) In(crs string) *Geometries {
	other := *g
	other.crs = crs
	return &other
}

// Len is how many they are.
func (g *Geometries) Len() int { return len(g.boxes) + len(g.wkb) + g.count }

func (g *Geometries) message(field string) (*rasterflightv1.Geometries, error) {
	message := &rasterflightv1.Geometries{Crs: crsOrLonLat(g.crs)}
	switch {
	case g.upload != "":
		message.Source = &rasterflightv1.Geometries_Upload{Upload: g.upload}
	case len(g.wkb) > 0:
		message.Source = &rasterflightv1.Geometries_Wkb{Wkb: &rasterflightv1.WkbList{Values: g.wkb}}
	case len(g.boxes) > 0:
		boxes := make([]*rasterflightv1.BBox, len(g.boxes))
		for i, box := range g.boxes {
			boxes[i] = box.message()
		}
		message.Source = &rasterflightv1.Geometries_Bboxes{Bboxes: &rasterflightv1.BBoxes{Values: boxes}}
	default:
		return nil, badRequest(field, "%s has no area; nil asks for whole records", field)
	}
	return message, nil
}

func crsOrLonLat(crs string) string {
	if crs == "" {
		return lonLat
	}
	return crs
}

func badGeometry(number int, format string, arguments ...any) *Error {
	return &Error{
		Code:    ErrBadGeometry,
		Field:   fmt.Sprintf("geometries[%d]", number-1),
		Message: fmt.Sprintf("area %d ", number) + fmt.Sprintf(format, arguments...),
	}
}
