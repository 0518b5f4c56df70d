package rasterflight

import (
	"encoding/json"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

const prefix = "rasterflight:"

// BandField is what is known about a band of a read, from the metadata of its column. Facts in which the records differ are left
// out.
type BandField struct {
	Name string
	// DType is NumPy's name of the pixel type: "uint16".
	DType string
	// Nodata as the file declares it ("0", "nan", "-9999.0"); nil: there is none, or the records differ.
	Nodata       *string
	NodataVaries bool
	// Physical value = pixel * Scale + Offset; nil also where pixels are physical values already.
	Scale, Offset *float64
	Unit          string
	Description   string
	Colorinterp   string
	// Categories are names of pixel values.
	Categories map[int64]string
	// Tags is what GDAL_METADATA says about the band.
	Tags map[string]string
}

// BandFields lists the bands of a schema of chips, in order.
func BandFields(schema *arrow.Schema) []BandField {
	var bands []BandField
	for _, column := range schema.Fields() {
		if dtype, ok := column.Metadata.GetValue(prefix + "dtype"); ok {
			bands = append(bands, bandField(column, dtype))
		}
	}
	return bands
}

func bandField(column arrow.Field, dtype string) BandField {
	fact := func(name string) string {
		value, _ := column.Metadata.GetValue(prefix + name)
		return value
	}
	number := func(name string) *float64 {
		if value, err := strconv.ParseFloat(fact(name), 64); err == nil {
			return &value
		}
		return nil
	}
	band := BandField{
		Name:         column.Name,
		DType:        dtype,
		NodataVaries: fact("nodata_varies") != "",
		Scale:        number("scale"),
		Offset:       number("offset"),
		Unit:         fact("unit"),
		Description:  fact("description"),
		Colorinterp:  fact("colorinterp"),
	}
	if nodata, ok := column.Metadata.GetValue(prefix + "nodata"); ok {
		band.Nodata = &nodata
	}
	// what is not there, or is not as expected, stays empty: decoration
	_ = json.Unmarshal([]byte(fact("tags")), &band.Tags)
	var pairs [][2]any
	if json.Unmarshal([]byte(fact("categories")), &pairs) == nil && pairs != nil {
		band.Categories = map[int64]string{}
		for _, pair := range pairs {
			value, isNumber := pair[0].(float64)
			name, isText := pair[1].(string)
			if isNumber && isText {
				band.Categories[int64(value)] = name
			}
		}
	}
	return band
}
