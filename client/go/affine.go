package rasterflight

// Affine brings the corner (col, row) of a pixel to (x, y): a, b, c, d, e, f as in Python's affine.Affine. The zero value
// stands for a transform that is not known.
type Affine [6]float64

// XY gives the place of a corner of pixels; half a pixel more is a centre.
func (t Affine) XY(col, row float64) (x, y float64) {
	return t[0]*col + t[1]*row + t[2], t[3]*col + t[4]*row + t[5]
}
