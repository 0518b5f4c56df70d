package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"os"
	"time"

	rf "github.com/rasterflight/rasterflight/client/go"
)

const (
	// Pixels of a map across, dots of the picture for each of them, and of the gap between two maps.
	across, dots, gap = 150, 3, 8
	columns           = 3
	// What the ends of the colours stand for.
	lowest, highest = -0.2, 0.6
)

// draw draws a map for each record, three side by side.
func (j job) draw(ctx context.Context, collection *rf.Collection, plots *plots, out io.Writer) error {
	region, size := around(plots.bounds)
	stream, err := collection.Read(ctx, rf.Request{
		Bands:      []string{j.red, j.nir},
		Geometries: rf.BBoxes(region),
		Masked:     true,
		Grid:       rf.Grid{TargetCRS: "OGC:CRS84", Resolution: size[:], Bounds: &region, WholeAreas: true},
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	var maps []image.Image
	fmt.Fprintf(out, "\nmaps, from left to right and down:\n")
	for chip, err := range stream.Chips() {
		if err != nil {
			return err
		}
		values, err := j.ndvi(chip)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s  %s\n", chip.Datetime.Format(time.DateOnly), chip.RecordID)
		maps = append(maps, drawMap(values, plots))
	}
	file, err := os.Create(j.picture)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := png.Encode(file, sheet(maps)); err != nil {
		return err
	}
	fmt.Fprintf(out, "picture: %s\n", j.picture)
	return file.Close()
}

// around gives a region with a margin, and the size of pixels that are square on the ground.
func around(box rf.BBox) (rf.BBox, [2]float64) {
	marginX, marginY := 0.25*(box.MaxX-box.MinX), 0.25*(box.MaxY-box.MinY)
	region := rf.BBox{MinX: box.MinX - marginX, MinY: box.MinY - marginY, MaxX: box.MaxX + marginX, MaxY: box.MaxY + marginY}
	width := (region.MaxX - region.MinX) / across
	return region, [2]float64{width, width * math.Cos((region.MinY+region.MaxY)/2*math.Pi/180)}
}

func drawMap(values rf.Pixels[float64], plots *plots) image.Image {
	canvas := image.NewRGBA(image.Rect(0, 0, values.Width*dots, values.Height*dots))
	for y := range canvas.Rect.Dy() {
		row := values.Row(y / dots)
		for x := range canvas.Rect.Dx() {
			canvas.SetRGBA(x, y, colour(row[x/dots]))
		}
	}
	t := values.Transform
	place := func(at [2]float64) (x, y float64) { return (at[0] - t[2]) / t[0] * dots, (at[1] - t[5]) / t[4] * dots }
	for _, line := range plots.lines {
		for i := 1; i < len(line); i++ {
			x0, y0 := place(line[i-1])
			x1, y1 := place(line[i])
			drawLine(canvas, x0, y0, x1, y1)
		}
	}
	return canvas
}

func drawLine(canvas *image.RGBA, x0, y0, x1, y1 float64) {
	steps := math.Ceil(max(math.Abs(x1-x0), math.Abs(y1-y0), 1))
	for step := 0.0; step <= steps; step++ {
		at := step / steps
		canvas.SetRGBA(int(x0+at*(x1-x0)), int(y0+at*(y1-y0)), color.RGBA{A: 255})
	}
}

// colour goes from red by yellow to green; white is where nothing was seen.
func colour(ndvi float64) color.RGBA {
	if math.IsNaN(ndvi) {
		return color.RGBA{255, 255, 255, 255}
	}
	stops := [][3]float64{{165, 0, 38}, {253, 174, 97}, {255, 255, 191}, {166, 217, 106}, {0, 104, 55}}
	at := min(max((ndvi-lowest)/(highest-lowest), 0), 1) * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	part := at - float64(i)
	mix := func(channel int) uint8 { return uint8(stops[i][channel]*(1-part) + stops[i+1][channel]*part) }
	return color.RGBA{mix(0), mix(1), mix(2), 255}
}

// sheet lays maps out beside each other.
func sheet(maps []image.Image) image.Image {
	width, height := 1, 1
	for _, one := range maps {
		width, height = max(width, one.Bounds().Dx()+gap), max(height, one.Bounds().Dy()+gap)
	}
	rows := (len(maps) + columns - 1) / columns
	canvas := image.NewRGBA(image.Rect(0, 0, width*min(columns, max(len(maps), 1))+gap, height*max(rows, 1)+gap))
	draw.Draw(canvas, canvas.Rect, image.NewUniform(color.RGBA{90, 90, 90, 255}), image.Point{}, draw.Src)
	for i, one := range maps {
		corner := image.Pt(i%columns*width+gap, i/columns*height+gap)
		draw.Draw(canvas, one.Bounds().Add(corner), one, image.Point{}, draw.Src)
	}
	return canvas
}
