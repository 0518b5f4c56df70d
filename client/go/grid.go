package rasterflight

import "github.com/rasterflight/rasterflight/client/go/rasterflightv1"

// Grid says on which grid pixels come. What is not said is the server's choice.
type Grid struct {
	// TargetCRS of the pixels; empty: each record's own.
	TargetCRS string
	// Resolution is the size of the pixels in units of their CRS: one number, or x and y.
	Resolution []float64
	// Resampling: bilinear unless said, but nearest for bands whose values are classes.
	Resampling Resampling
	// BandResampling says it for single bands.
	BandResampling map[string]Resampling
	// Bounds is the extent of the grid in its CRS; its upper left corner is a corner of a pixel.
	Bounds *BBox
	// Align is, instead, any corner of pixels: one number, or x and y; 0 snaps to multiples of the resolution.
	Align []float64
	// Common puts all pixels on one grid, that of most of the records, without saying which; so does each of the above but resampling.
	Common bool
	// WholeAreas makes chips cover all of their area, also where the record ends.
	WholeAreas bool
	// Part cuts chips off at these bounds, in the CRS of the pixels.
	Part *BBox
	// Like is the grid itself, instead of TargetCRS, Resolution, Bounds and Align.
	Like *TargetGrid
}

// TargetGrid is a grid that pixels are put on.
type TargetGrid struct {
	CRS           string
	Transform     Affine
	Width, Height int64
}

func (g Grid) message() *rasterflightv1.GridOptions {
	message := &rasterflightv1.GridOptions{
		TargetCrs:      g.TargetCRS,
		Resolution:     g.Resolution,
		Resampling:     g.Resampling,
		BandResampling: g.BandResampling,
		Anchor:         g.Align,
		Common:         g.Common || g.isPlaced(),
		WholeAreas:     g.WholeAreas,
	}
	if g.Bounds != nil {
		message.Bounds = g.Bounds.message()
	}
	if g.Part != nil {
		message.Part = g.Part.message()
	}
	if g.Like != nil {
		message.Grid = &rasterflightv1.TargetGrid{
			Crs: g.Like.CRS, Transform: g.Like.Transform[:], Width: g.Like.Width, Height: g.Like.Height,
		}
	}
	return message
}

// isPlaced tells whether one grid is asked for; how pixels get there does not.
func (g Grid) isPlaced() bool {
	return g.TargetCRS != "" || g.Resolution != nil || g.Bounds != nil || g.Align != nil || g.Like != nil
}
