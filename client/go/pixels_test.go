package rasterflight

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/float16"
)

func chipOf(dtype string, data []byte, nodata *string) *Chip {
	raw := RawPixels{
		BandField: BandField{Name: "b", DType: dtype, Nodata: nodata}, Data: data, Height: 1, Width: len(data) / sizes[dtype],
		Transform: Affine{10, 0, 100, 0, -10, 200}, CRS: "EPSG:32618",
	}
	return &Chip{RecordID: "r", Bands: []RawPixels{raw}}
}

func text(value string) *string { return &value }

func TestTypedPixels(t *testing.T) {
	data := binary.LittleEndian.AppendUint16(nil, 7)
	data = binary.LittleEndian.AppendUint16(data, 65535)
	chip := chipOf("uint16", data, text("65535"))
	pixels, err := PixelsOf[uint16](chip, "b")
	if err != nil || !slices.Equal(pixels.Values, []uint16{7, 65535}) {
		t.Fatal(pixels.Values, err)
	}
	if !pixels.Valid(0, 0) || pixels.Valid(0, 1) || pixels.At(0, 1) != 65535 || len(pixels.Row(0)) != 2 {
		t.Error("nodata is not told from data")
	}
	if x, y := pixels.XY(0, 1); x != 115 || y != 195 {
		t.Error(x, y)
	}
	pixels.Mask = []bool{true, false} // a mask in the file counts more than nodata
	if pixels.Valid(0, 0) || !pixels.Valid(0, 1) {
		t.Error("the mask is not heeded")
	}
	_, err = PixelsOf[int16](chip, "b")
	if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), `the pixels of "b" are uint16, not int16`) {
		t.Error(err)
	}
	_, err = PixelsOf[uint16](chip, "c")
	if !errors.Is(err, ErrUnknownBand) || !strings.Contains(err.Error(), "it has: b") {
		t.Error(err)
	}
	if data[0] != 7 || &data[0] != &chip.Bands[0].Data[0] {
		t.Error("pixels were copied")
	}
}

func TestFloats(t *testing.T) {
	for dtype, put := range map[string]func(int) []byte{
		"int8":    func(v int) []byte { return []byte{byte(v)} },
		"uint8":   func(v int) []byte { return []byte{byte(v)} },
		"int16":   func(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) },
		"uint16":  func(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) },
		"int32":   func(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) },
		"uint32":  func(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) },
		"int64":   func(v int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) },
		"uint64":  func(v int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) },
		"float16": func(v int) []byte { return binary.LittleEndian.AppendUint16(nil, float16.New(float32(v)).Uint16()) },
		"float32": func(v int) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v))) },
		"float64": func(v int) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(v))) },
	} {
		chip := chipOf(dtype, slices.Concat(put(3), put(9)), text("9.0"))
		pixels, err := chip.Floats("b")
		if err != nil || pixels.Values[0] != 3 || !math.IsNaN(pixels.Values[1]) || pixels.Valid(0, 1) {
			t.Error(dtype, pixels.Values, err)
		}
	}
	if _, err := chipOf("complex64", make([]byte, 8), nil).Floats("b"); !errors.Is(err, ErrBadRequest) {
		t.Error(err)
	}
}

func TestNodata(t *testing.T) {
	if v := nodata[uint8]("-9999"); v != nil {
		t.Error("no uint8 is -9999")
	}
	if v := nodata[int16]("-9999.7"); v == nil || *v != -9999 {
		t.Error("of a fraction counts the whole part")
	}
	if v := nodata[uint64]("18446744073709551615"); v == nil || *v != math.MaxUint64 {
		t.Error("the largest uint64")
	}
	if v := nodata[float32]("nan"); v == nil || *v == *v {
		t.Error("nan")
	}
	if v := nodata[int32]("nan"); v != nil {
		t.Error("no int32 is nan")
	}
	if v := nodata[complex64]("(1+2j)"); v == nil || *v != complex(1, 2) {
		t.Error("a complex number")
	}
	nan := math.NaN()
	if (Pixels[float64]{Values: []float64{nan}, Nodata: &nan, Height: 1, Width: 1}).Valid(0, 0) {
		t.Error("NaN is not NaN")
	}
	half := float16.New(float32(nan))
	if (Pixels[float16.Num]{Values: []float16.Num{half}, Nodata: &half, Height: 1, Width: 1}).Valid(0, 0) {
		t.Error("NaN of 16 bits is not NaN")
	}
}
