package rasterflight

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/float16"
)

// Number is any type of pixels.
type Number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float16.Num | float32 | float64 | complex64 | complex128
}

// Pixels are the pixels of one band of a chip.
type Pixels[T Number] struct {
	// Values row by row from the top; Height * Width of them. Not to be changed: other chips may lie in the same memory.
	Values        []T
	Height, Width int
	// Transform and CRS say where they are; empty: not known.
	Transform Affine
	CRS       string
	// Nodata is the pixel that stands for none; nil: there is none. Pixels outside of the area hold it, or 0.
	Nodata *T
	// Mask is true where a pixel is invalid, as in NumPy's masked arrays; nil: the read was not Masked.
	Mask []bool
}

// At gives a pixel.
func (p Pixels[T]) At(row, col int) T { return p.Values[row*p.Width+col] }

// Row gives a row of pixels.
func (p Pixels[T]) Row(row int) []T { return p.Values[row*p.Width : (row+1)*p.Width : (row+1)*p.Width] }

// XY gives the centre of a pixel in the CRS.
func (p Pixels[T]) XY(row, col int) (x, y float64) {
	return p.Transform.XY(float64(col)+0.5, float64(row)+0.5)
}

// Valid tells whether a pixel stands for something: by the mask where there is one, by nodata otherwise.
func (p Pixels[T]) Valid(row, col int) bool { return p.valid(row*p.Width + col) }

func (p Pixels[T]) valid(i int) bool {
	if p.Mask != nil {
		return !p.Mask[i]
	}
	if p.Nodata == nil {
		return true
	}
	value, nodata := p.Values[i], *p.Nodata
	return value != nodata && !(isNaN(value) && isNaN(nodata))
}

func isNaN[T Number](value T) bool {
	if half, ok := any(value).(float16.Num); ok {
		return half.IsNaN()
	}
	return value != value
}

// RawPixels are pixels of a type that is known at run time only; [PixelsOf] and [RawPixels.Floats] give numbers.
type RawPixels struct {
	BandField
	// Data are the pixels row by row, little-endian.
	Data          []byte
	Height, Width int
	Transform     Affine
	CRS           string
	Mask          []bool
}

// Band finds the pixels of a band. ErrUnknownBand: the chip has none of it, since it was not asked for or lies on another grid.
func (c *Chip) Band(name string) (RawPixels, error) {
	for _, band := range c.Bands {
		if band.Name == name {
			return band, nil
		}
	}
	names := make([]string, len(c.Bands))
	for i, band := range c.Bands {
		names[i] = band.Name
	}
	return RawPixels{}, &Error{
		Code: ErrUnknownBand, Record: c.RecordID, Field: "bands",
		Message: "this chip of " + c.RecordID + " has no band " + strconv.Quote(name),
		Hint:    "it has: " + strings.Join(names, ", "),
	}
}

// PixelsOf gives the pixels of a band, of the type that the file has; they are not copied.
func PixelsOf[T Number](chip *Chip, band string) (Pixels[T], error) {
	raw, err := chip.Band(band)
	if err != nil {
		return Pixels[T]{}, err
	}
	if dtype := dtypeOf[T](); raw.DType != dtype {
		return Pixels[T]{}, badRequest("bands", "the pixels of %q are %s, not %s", band, raw.DType, dtype)
	}
	return typed[T](raw), nil
}

// Floats gives the pixels of a band as float64, NaN where they are invalid by mask or nodata. Of complex numbers there are none.
func (c *Chip) Floats(band string) (Pixels[float64], error) {
	raw, err := c.Band(band)
	if err != nil {
		return Pixels[float64]{}, err
	}
	return raw.Floats()
}

// Floats gives the pixels as float64, NaN where they are invalid by mask or nodata. ErrBadRequest: they are complex numbers.
func (r RawPixels) Floats() (Pixels[float64], error) {
	switch r.DType {
	case "int8":
		return floats(typed[int8](r)), nil
	case "int16":
		return floats(typed[int16](r)), nil
	case "int32":
		return floats(typed[int32](r)), nil
	case "int64":
		return floats(typed[int64](r)), nil
	case "uint8":
		return floats(typed[uint8](r)), nil
	case "uint16":
		return floats(typed[uint16](r)), nil
	case "uint32":
		return floats(typed[uint32](r)), nil
	case "uint64":
		return floats(typed[uint64](r)), nil
	case "float16":
		return halves(typed[float16.Num](r)), nil
	case "float32":
		return floats(typed[float32](r)), nil
	case "float64":
		return floats(typed[float64](r)), nil
	}
	return Pixels[float64]{}, badRequest("bands", "the pixels of %q are %s, of which there are no floats", r.Name, r.DType)
}

func floats[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](p Pixels[T]) Pixels[float64] {
	return converted(p, func(value T) float64 { return float64(value) })
}

func halves(p Pixels[float16.Num]) Pixels[float64] {
	return converted(p, func(value float16.Num) float64 { return float64(value.Float32()) })
}

func converted[T Number](p Pixels[T], convert func(T) float64) Pixels[float64] {
	values := make([]float64, len(p.Values))
	for i, value := range p.Values {
		if p.valid(i) {
			values[i] = convert(value)
		} else {
			values[i] = math.NaN()
		}
	}
	nan := math.NaN()
	return Pixels[float64]{
		Values: values, Height: p.Height, Width: p.Width, Transform: p.Transform, CRS: p.CRS, Mask: p.Mask, Nodata: &nan,
	}
}

// typed sees pixels as what they are.
func typed[T Number](raw RawPixels) Pixels[T] {
	pixels := Pixels[T]{Height: raw.Height, Width: raw.Width, Transform: raw.Transform, CRS: raw.CRS, Mask: raw.Mask}
	if len(raw.Data) > 0 {
		size := int(unsafe.Sizeof(*new(T)))
		pixels.Values = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw.Data))), len(raw.Data)/size)
	}
	if raw.Nodata != nil {
		pixels.Nodata = nodata[T](*raw.Nodata)
	}
	return pixels
}

// dtypeOf is NumPy's name of a type.
func dtypeOf[T Number]() string {
	switch any(*new(T)).(type) {
	case int8:
		return "int8"
	case int16:
		return "int16"
	case int32:
		return "int32"
	case int64:
		return "int64"
	case uint8:
		return "uint8"
	case uint16:
		return "uint16"
	case uint32:
		return "uint32"
	case uint64:
		return "uint64"
	case float16.Num:
		return "float16"
	case float32:
		return "float32"
	case float64:
		return "float64"
	case complex64:
		return "complex64"
	default:
		return "complex128"
	}
}

// nodata reads what a file declares; of a fraction, whole numbers take the whole part, as GDAL does. nil: no pixel is like that.
func nodata[T Number](text string) *T {
	value := new(T)
	switch p := any(value).(type) {
	case *float16.Num:
		number, err := strconv.ParseFloat(text, 32)
		*p = float16.New(float32(number))
		return orNil(value, err)
	case *float32:
		number, err := strconv.ParseFloat(text, 32)
		*p = float32(number)
		return orNil(value, err)
	case *float64:
		number, err := strconv.ParseFloat(text, 64)
		*p = number
		return orNil(value, err)
	case *complex64:
		number, err := parseComplex(text, 64)
		*p = complex64(number)
		return orNil(value, err)
	case *complex128:
		number, err := parseComplex(text, 128)
		*p = number
		return orNil(value, err)
	}
	whole, ok := wholePart(text)
	if !ok {
		return nil
	}
	return fitting(value, whole)
}

// parseComplex reads what Python writes, which has j for i.
func parseComplex(text string, bits int) (complex128, error) {
	return strconv.ParseComplex(strings.ReplaceAll(text, "j", "i"), bits)
}

func orNil[T any](value *T, err error) *T {
	if err != nil {
		return nil
	}
	return value
}

func wholePart(text string) (*big.Int, bool) {
	if whole, ok := new(big.Int).SetString(text, 10); ok {
		return whole, true
	}
	number, _, err := big.ParseFloat(text, 10, 128, big.ToZero)
	if err != nil || number.IsInf() {
		return nil, false
	}
	whole, _ := number.Int(nil)
	return whole, true
}

func fitting[T Number](value *T, whole *big.Int) *T {
	signed, unsigned := whole.Int64(), whole.Uint64()
	fits := whole.IsInt64()
	switch p := any(value).(type) {
	case *int8:
		*p = int8(signed)
		fits = fits && int64(*p) == signed
	case *int16:
		*p = int16(signed)
		fits = fits && int64(*p) == signed
	case *int32:
		*p = int32(signed)
		fits = fits && int64(*p) == signed
	case *int64:
		*p = signed
	case *uint8:
		*p = uint8(unsigned)
		fits = whole.IsUint64() && uint64(*p) == unsigned
	case *uint16:
		*p = uint16(unsigned)
		fits = whole.IsUint64() && uint64(*p) == unsigned
	case *uint32:
		*p = uint32(unsigned)
		fits = whole.IsUint64() && uint64(*p) == unsigned
	case *uint64:
		*p = unsigned
		fits = whole.IsUint64()
	}
	if !fits {
		return nil
	}
	return value
}
