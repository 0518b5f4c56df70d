// Command ndvi prints statistics of NDVI per plot and date, and draws maps of it.
//
//	go run ./examples/ndvi -url grpc://127.0.0.1:8815 -collection ny \
//	    -plots ../../tests/data/aoi/nyc-boroughs.geojson -name BoroName -picture ndvi.png
//
// It reads the plots on the grid of the files for the numbers, and the region around them in lon/lat for the maps.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	rf "github.com/rasterflight/rasterflight/client/go"
)

func main() {
	var job job
	flag.StringVar(&job.url, "url", "", "of the server; RASTERFLIGHT_URL unless said")
	flag.StringVar(&job.collection, "collection", "ny", "that is read")
	flag.StringVar(&job.red, "red", "red", "name of the red band")
	flag.StringVar(&job.nir, "nir", "nir08", "name of the near infrared band")
	flag.StringVar(&job.plots, "plots", "", "a GeoJSON FeatureCollection of polygons")
	flag.StringVar(&job.name, "name", "name", "the property of the plots that tells them apart")
	flag.StringVar(&job.picture, "picture", "ndvi.png", "where maps are drawn to")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := job.run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ndvi:", err)
		os.Exit(1)
	}
}

type job struct {
	url, collection, red, nir, plots, name, picture string
}

func (j job) run(ctx context.Context, out io.Writer) error {
	plots, err := readPlots(j.plots, j.name)
	if err != nil {
		return err
	}
	client, err := rf.Connect(ctx, j.url)
	if err != nil {
		return err
	}
	defer client.Close()
	collection, err := client.Collection(ctx, j.collection)
	if err != nil {
		return err
	}
	if err := j.table(ctx, collection, plots, out); err != nil {
		return err
	}
	return j.draw(ctx, collection, plots, out)
}

// table prints a line per plot and record.
func (j job) table(ctx context.Context, collection *rf.Collection, plots *plots, out io.Writer) error {
	stream, err := collection.Read(ctx, rf.Request{Bands: []string{j.red, j.nir}, Geometries: plots.areas, Masked: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	fmt.Fprintf(out, "%d chips of %d records\n", stream.Plan().Chips, stream.Plan().Records)
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(lines, "date\tplot\tpixels\tmean\tstd\tmin\tmax")
	for chip, err := range stream.Chips() {
		if err != nil {
			return err
		}
		values, err := j.ndvi(chip)
		if err != nil {
			return err
		}
		s := summarise(values.Values)
		if s.count == 0 {
			continue // outside of the part of the scene that holds data
		}
		fmt.Fprintf(lines, "%s\t%s\t%d\t%.4f\t%.4f\t%.4f\t%.4f\n",
			chip.Datetime.Format(time.DateOnly), plots.names[chip.GeometryID-1], s.count, s.mean, s.std, s.min, s.max)
	}
	return lines.Flush()
}

// ndvi is (nir - red) / (nir + red), NaN where one of them is invalid.
func (j job) ndvi(chip *rf.Chip) (rf.Pixels[float64], error) {
	red, err := chip.Floats(j.red)
	if err != nil {
		return red, err
	}
	nir, err := chip.Floats(j.nir)
	if err != nil {
		return nir, err
	}
	for i := range nir.Values {
		nir.Values[i] = (nir.Values[i] - red.Values[i]) / (nir.Values[i] + red.Values[i])
	}
	return nir, nil
}

// plots are areas with names.
type plots struct {
	areas *rf.Geometries
	names []string
	// lines are the rings of all of them, in lon/lat.
	lines  [][][2]float64
	bounds rf.BBox
}

func readPlots(path, property string) (*plots, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("plots: %w", err)
	}
	read := &plots{bounds: rf.BBox{MinX: 180, MinY: 90, MaxX: -180, MaxY: -90}}
	if read.areas, err = rf.GeoJSON(text); err != nil {
		return nil, err
	}
	var document struct {
		Features []struct {
			Properties map[string]any `json:"properties"`
			Geometry   struct {
				Coordinates json.RawMessage `json:"coordinates"`
			} `json:"geometry"`
		} `json:"features"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	for _, feature := range document.Features {
		read.names = append(read.names, fmt.Sprint(feature.Properties[property]))
		read.outline(feature.Geometry.Coordinates)
	}
	if len(read.names) != read.areas.Len() {
		return nil, fmt.Errorf("%s holds no FeatureCollection", path)
	}
	return read, nil
}

// outline takes the rings out of coordinates, however deep they lie.
func (p *plots) outline(coordinates json.RawMessage) {
	var ring [][2]float64
	if json.Unmarshal(coordinates, &ring) == nil {
		p.lines = append(p.lines, ring)
		for _, at := range ring {
			p.bounds.MinX, p.bounds.MaxX = min(p.bounds.MinX, at[0]), max(p.bounds.MaxX, at[0])
			p.bounds.MinY, p.bounds.MaxY = min(p.bounds.MinY, at[1]), max(p.bounds.MaxY, at[1])
		}
		return
	}
	var parts []json.RawMessage
	if json.Unmarshal(coordinates, &parts) == nil {
		for _, part := range parts {
			p.outline(part)
		}
	}
}
