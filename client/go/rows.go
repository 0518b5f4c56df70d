package rasterflight

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// chipColumns are those without which rows are no chips.
var chipColumns = []string{
	"record_id", "datetime", "cloud_cover", "collection", "geometry_id", "crs", "transform",
	"chip_height", "chip_width", "row_off", "height", "width",
}

// sizes of pixels in bytes.
var sizes = map[string]int{
	"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4, "float32": 4,
	"int64": 8, "uint64": 8, "float64": 8, "complex64": 8, "complex128": 16,
}

// block is a row of the layout chips: a strip of a chip, as wide as the chip.
type block struct {
	// chip has the pixels of the strip.
	chip           *Chip
	rowOff, height int
}

// rows are the columns of a batch of the layout chips.
type rows struct {
	recordIDs, collections, crs, errors *array.String
	times                               *array.Timestamp
	clouds                              *array.Float64
	geometryIDs                         *array.Int64
	transforms                          *array.FixedSizeList
	transformValues                     *array.Float64
	chipHeights, chipWidths             *array.Int32
	rowOffs, heights, widths            *array.Int32
	bands                               []bandColumn
}

func newRows(batch arrow.RecordBatch, bands []BandField, url string) (*rows, error) {
	r := &rows{
		recordIDs:   column[*array.String](batch, "record_id"),
		collections: column[*array.String](batch, "collection"),
		crs:         column[*array.String](batch, "crs"),
		errors:      column[*array.String](batch, "error"),
		times:       column[*array.Timestamp](batch, "datetime"),
		clouds:      column[*array.Float64](batch, "cloud_cover"),
		geometryIDs: column[*array.Int64](batch, "geometry_id"),
		transforms:  column[*array.FixedSizeList](batch, "transform"),
		chipHeights: column[*array.Int32](batch, "chip_height"),
		chipWidths:  column[*array.Int32](batch, "chip_width"),
		rowOffs:     column[*array.Int32](batch, "row_off"),
		heights:     column[*array.Int32](batch, "height"),
		widths:      column[*array.Int32](batch, "width"),
	}
	isKnown := r.recordIDs != nil && r.collections != nil && r.crs != nil && r.times != nil && r.clouds != nil &&
		r.geometryIDs != nil && r.transforms != nil && r.chipHeights != nil && r.chipWidths != nil && r.rowOffs != nil &&
		r.heights != nil && r.widths != nil
	if isKnown {
		r.transformValues, isKnown = r.transforms.ListValues().(*array.Float64)
	}
	if !isKnown {
		return nil, protocolError(url, "columns of chips are of other types")
	}
	for _, band := range bands {
		one, err := newBandColumn(column[*array.List](batch, band.Name), band)
		if err != nil {
			return nil, protocolError(url, err.Error())
		}
		r.bands = append(r.bands, one)
	}
	return r, nil
}

func (r *rows) block(i int) (block, error) {
	chip := &Chip{
		RecordID:   clone(r.recordIDs.Value(i)),
		CloudCover: math.NaN(),
		Collection: clone(r.collections.Value(i)),
		Height:     int(r.chipHeights.Value(i)),
		Width:      int(r.chipWidths.Value(i)),
	}
	if r.times.IsValid(i) {
		chip.Datetime = microseconds(r.times.Value(i))
	}
	if r.clouds.IsValid(i) {
		chip.CloudCover = r.clouds.Value(i)
	}
	if r.geometryIDs.IsValid(i) {
		chip.GeometryID = r.geometryIDs.Value(i)
	}
	if r.crs.IsValid(i) {
		chip.CRS = clone(r.crs.Value(i))
	}
	if r.transforms.IsValid(i) {
		start, end := r.transforms.ValueOffsets(i)
		copy(chip.Transform[:], r.transformValues.Float64Values()[start:end])
	}
	one := block{chip: chip, rowOff: int(r.rowOffs.Value(i)), height: int(r.heights.Value(i))}
	width := int(r.widths.Value(i))
	if one.height <= 0 || one.rowOff < 0 || one.rowOff+one.height > chip.Height || width != chip.Width {
		return block{}, &Error{Code: ErrProtocol, Record: chip.RecordID, Message: "a block of pixels lies outside of its chip"}
	}
	for _, band := range r.bands {
		if !band.lists.IsValid(i) {
			continue
		}
		pixels, err := band.pixels(i, one.height, width)
		if err != nil {
			return block{}, &Error{Code: ErrProtocol, Record: chip.RecordID, Message: err.Error()}
		}
		pixels.Transform, pixels.CRS = chip.Transform, chip.CRS
		chip.Bands = append(chip.Bands, pixels)
	}
	return one, nil
}

// bandColumn is a list column of pixels.
type bandColumn struct {
	field BandField
	lists *array.List
	// data are the pixels of all rows, valid the bits that say which are; nil: the read is not masked, or all are.
	data     []byte
	valid    []byte
	validOff int
	isMasked bool
	size     int
}

func newBandColumn(lists *array.List, field BandField) (bandColumn, error) {
	size, known := sizes[field.DType]
	if lists == nil || !known {
		return bandColumn{}, fmt.Errorf("band %q has pixels of type %q", field.Name, field.DType)
	}
	values := lists.ListValues()
	one := bandColumn{field: field, lists: lists, size: size}
	one.isMasked = lists.DataType().(*arrow.ListType).ElemField().Nullable
	if values.NullN() > 0 {
		one.valid, one.validOff = values.NullBitmapBytes(), values.Data().Offset()
	}
	parts := 1
	if pairs, isComplex := values.(*array.FixedSizeList); isComplex {
		parts = 2
		start, end := int64(0), int64(0)
		if pairs.Len() > 0 {
			start, _ = pairs.ValueOffsets(0)
			_, end = pairs.ValueOffsets(pairs.Len() - 1)
		}
		values = array.NewSlice(pairs.ListValues(), start, end)
	}
	fixed, ok := values.DataType().(arrow.FixedWidthDataType)
	if !ok || fixed.BitWidth()*parts != 8*size {
		return bandColumn{}, fmt.Errorf("band %q says that its pixels are %s, and they are %s", field.Name, field.DType, values.DataType())
	}
	if buffer := values.Data().Buffers()[1]; buffer != nil {
		width := fixed.BitWidth() / 8
		start := values.Data().Offset() * width
		one.data = buffer.Bytes()[start : start+values.Len()*width]
	}
	return one, nil
}

func (b bandColumn) pixels(row, height, width int) (RawPixels, error) {
	start, end := b.lists.ValueOffsets(row)
	if end-start != int64(height)*int64(width) {
		return RawPixels{}, fmt.Errorf("band %q has %d pixels, and not %d x %d", b.field.Name, end-start, height, width)
	}
	from, to := int(start)*b.size, int(end)*b.size
	pixels := RawPixels{BandField: b.field, Data: b.data[from:to:to], Height: height, Width: width}
	if b.isMasked {
		pixels.Mask = make([]bool, end-start)
		if b.valid != nil {
			for i := range pixels.Mask {
				pixels.Mask[i] = !bitutil.BitIsSet(b.valid, b.validOff+int(start)+i)
			}
		}
	}
	return pixels, nil
}

// column finds a column of a type; nil: there is none.
func column[T arrow.Array](batch arrow.RecordBatch, name string) T {
	var none T
	places := batch.Schema().FieldIndices(name)
	if len(places) != 1 {
		return none
	}
	found, _ := batch.Column(places[0]).(T)
	return found
}

func missingColumns(schema *arrow.Schema, names []string) string {
	for _, name := range names {
		if !schema.HasField(name) {
			return name
		}
	}
	return ""
}

func microseconds(value arrow.Timestamp) time.Time { return time.UnixMicro(int64(value)).UTC() }

// clone takes a text out of the memory of its batch, which would stay for it.
func clone(text string) string { return strings.Clone(text) }
