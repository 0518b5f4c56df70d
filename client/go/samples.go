package rasterflight

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Sample is the pixel of one band of one record that contains a point.
type Sample struct {
	// PointIndex counts the points from 0; X and Y are as they were given.
	PointIndex int64
	X, Y       float64
	// PointCRS and RasterCRS are EPSG codes; 0: none says it.
	PointCRS, RasterCRS int32
	RecordID            string
	// Datetime of the record, UTC; zero: it has none.
	Datetime   time.Time
	Collection string
	Band       string
	// Value is NaN where it is null: the pixel is invalid, and the read Masked.
	Value float64
	// Neighbourhood are the pixels around, row by row from the top left, NaN outside of the raster; nil: not asked for.
	Neighbourhood []float64
}

var sampleColumns = []string{
	"point_index", "point_x", "point_y", "point_crs", "record_id", "datetime", "collection", "band", "value", "raster_crs",
}

// SamplePoints reads the pixels of bands at points: a sample per point, record and band; points outside of every record give none.
func (c *Collection) SamplePoints(ctx context.Context, points Points, bands []string, filters ...Filter) ([]Sample, error) {
	stream, err := c.Read(ctx, Request{Points: &points, Bands: bands, Filters: filters})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var samples []Sample
	for sample, err := range stream.Samples() {
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample)
	}
	return samples, nil
}

// Samples takes a stream of the layout points. ErrUnsupportedLayout: the rows are no points.
func (s *Stream) Samples() iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		if missing := missingColumns(s.Schema(), sampleColumns); missing != "" {
			yield(Sample{}, &Error{
				Code: ErrUnsupportedLayout, Message: "these rows are not points: there is no column " + missing,
				Hint: "read with Points",
			})
			return
		}
		for s.Next() {
			rows := newSampleRows(s.RecordBatch())
			if rows == nil {
				s.Close()
				s.err = protocolError(s.plan.client.url, "columns of points are of other types")
				break
			}
			for sample := range rows.samples() {
				if !yield(sample, nil) {
					return
				}
			}
		}
		if s.err != nil {
			yield(Sample{}, s.err)
		}
	}
}

type sampleRows struct {
	indexes                             *array.Int64
	x, y, values                        *array.Float64
	pointCRS, rasterCRS                 *array.Int32
	records, collections, bands, errors *array.String
	times                               *array.Timestamp
	neighbourhoods                      *array.List
	neighbours                          *array.Float64
}

func newSampleRows(batch arrow.RecordBatch) *sampleRows {
	r := &sampleRows{
		indexes:        column[*array.Int64](batch, "point_index"),
		x:              column[*array.Float64](batch, "point_x"),
		y:              column[*array.Float64](batch, "point_y"),
		values:         column[*array.Float64](batch, "value"),
		pointCRS:       column[*array.Int32](batch, "point_crs"),
		rasterCRS:      column[*array.Int32](batch, "raster_crs"),
		records:        column[*array.String](batch, "record_id"),
		collections:    column[*array.String](batch, "collection"),
		bands:          column[*array.String](batch, "band"),
		errors:         column[*array.String](batch, "error"),
		times:          column[*array.Timestamp](batch, "datetime"),
		neighbourhoods: column[*array.List](batch, "neighbourhood_values"),
	}
	if r.neighbourhoods != nil {
		r.neighbours, _ = r.neighbourhoods.ListValues().(*array.Float64)
		if r.neighbours == nil {
			return nil
		}
	}
	if r.indexes == nil || r.x == nil || r.y == nil || r.values == nil || r.pointCRS == nil || r.rasterCRS == nil ||
		r.records == nil || r.collections == nil || r.bands == nil || r.times == nil {
		return nil
	}
	return r
}

// samples are those of all records that could be read.
func (r *sampleRows) samples() iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		for i := range r.indexes.Len() {
			if (r.errors == nil || r.errors.IsNull(i)) && !yield(r.sample(i)) {
				return
			}
		}
	}
}

func (r *sampleRows) sample(i int) Sample {
	sample := Sample{
		PointIndex: r.indexes.Value(i),
		X:          r.x.Value(i),
		Y:          r.y.Value(i),
		RecordID:   clone(r.records.Value(i)),
		Collection: clone(r.collections.Value(i)),
		Band:       clone(r.bands.Value(i)),
		Value:      orNaN(r.values, i),
	}
	if r.pointCRS.IsValid(i) {
		sample.PointCRS = r.pointCRS.Value(i)
	}
	if r.rasterCRS.IsValid(i) {
		sample.RasterCRS = r.rasterCRS.Value(i)
	}
	if r.times.IsValid(i) {
		sample.Datetime = microseconds(r.times.Value(i))
	}
	if r.neighbourhoods != nil && r.neighbourhoods.IsValid(i) {
		start, end := r.neighbourhoods.ValueOffsets(i)
		sample.Neighbourhood = make([]float64, end-start)
		for k := range sample.Neighbourhood {
			sample.Neighbourhood[k] = orNaN(r.neighbours, int(start)+k)
		}
	}
	return sample
}

func orNaN(values *array.Float64, i int) float64 {
	if values.IsNull(i) {
		return math.NaN()
	}
	return values.Value(i)
}
