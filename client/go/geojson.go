package rasterflight

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// GeoJSON reads areas from a geometry, a Feature or a FeatureCollection. ErrBadGeometry: one is no polygon or multipolygon.
//
// Coordinates are lon/lat, as the standard has it; for files that deviate from it, say [Geometries.In].
func GeoJSON(data []byte) (*Geometries, error) {
	var document geoJSON
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, &Error{Code: ErrBadGeometry, Field: "geometries", Message: "this is no GeoJSON: " + err.Error()}
	}
	shapes := []*geoJSON{&document}
	if document.Type == "FeatureCollection" {
		shapes = document.Features
	}
	areas := new(Geometries)
	for i, shape := range shapes {
		if shape != nil && shape.Type == "Feature" {
			shape = shape.Geometry
		}
		wkb, err := shape.wkb(i + 1)
		if err != nil {
			return nil, err
		}
		areas.wkb = append(areas.wkb, wkb)
	}
	return areas, nil
}

type geoJSON struct {
	Type        string          `json:"type"`
	Features    []*geoJSON      `json:"features"`
	Geometry    *geoJSON        `json:"geometry"`
	Coordinates json.RawMessage `json:"coordinates"`
}

type polygon [][][]float64

const wkbPolygon, wkbMultiPolygon = 3, 6

func (g *geoJSON) wkb(number int) ([]byte, error) {
	if g == nil {
		return nil, badGeometry(number, "has no geometry")
	}
	var err error
	switch g.Type {
	case "Polygon":
		var one polygon
		if err = json.Unmarshal(g.Coordinates, &one); err == nil {
			return one.appendWKB(nil, number)
		}
	case "MultiPolygon":
		var many []polygon
		if err = json.Unmarshal(g.Coordinates, &many); err == nil {
			wkb := appendHeader(nil, wkbMultiPolygon, len(many))
			for _, one := range many {
				if wkb, err = one.appendWKB(wkb, number); err != nil {
					return nil, err
				}
			}
			return wkb, nil
		}
	case "Point", "MultiPoint":
		return nil, badGeometry(number, "is a %s, expected a Polygon or a MultiPolygon; single pixels are asked for by Points", g.Type)
	default:
		return nil, badGeometry(number, "is a %q, expected a Polygon or a MultiPolygon", g.Type)
	}
	return nil, badGeometry(number, "has coordinates that are not those of a %s: %v", g.Type, err)
}

func (p polygon) appendWKB(wkb []byte, number int) ([]byte, error) {
	wkb = appendHeader(wkb, wkbPolygon, len(p))
	for _, ring := range p {
		wkb = binary.LittleEndian.AppendUint32(wkb, uint32(len(ring)))
		for _, position := range ring {
			if len(position) < 2 {
				return nil, badGeometry(number, "has a position of %d numbers, expected x and y", len(position))
			}
			// heights are left behind
			for _, value := range position[:2] {
				wkb = binary.LittleEndian.AppendUint64(wkb, math.Float64bits(value))
			}
		}
	}
	return wkb, nil
}

func appendHeader(wkb []byte, kind uint32, parts int) []byte {
	wkb = append(wkb, 1)
	wkb = binary.LittleEndian.AppendUint32(wkb, kind)
	return binary.LittleEndian.AppendUint32(wkb, uint32(parts))
}
