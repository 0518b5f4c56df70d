package rasterflight_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// places are points over New York.
func places(count int) (points rf.Points) {
	for i := range count {
		points.X = append(points.X, -74.2+0.4*float64(i%100)/100)
		points.Y = append(points.Y, 40.5+0.4*float64(i/100%100)/100)
	}
	return points
}

func each(points rf.Points) iter.Seq2[float64, float64] {
	return func(yield func(float64, float64) bool) {
		for i := range points.X {
			if !yield(points.X[i], points.Y[i]) {
				return
			}
		}
	}
}

func TestSamplesOfPlacesThatGoUp(t *testing.T) {
	_, ny := open(t, "ny")
	ctx := context.Background()
	points := places(5000)
	july := ny.Subset(rf.DateRange("2018-07-01", "2018-10-31"))
	want, err := july.SamplePoints(ctx, points, []string{"red", "nir08"})
	if err != nil {
		t.Fatal(err)
	}
	var got []rf.Sample
	for sample, err := range july.SampleEach(ctx, rf.Request{Bands: []string{"red", "nir08"}}, each(points)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, sample)
	}
	if len(got) == 0 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d samples, and not %d", len(got), len(want))
	}
}

func TestPlacesAreTakenSetBySet(t *testing.T) {
	_, ny := open(t, "ny")
	// a set may look at 2 MiB of pixels: 51 with those around
	request := rf.Request{
		Bands:   []string{"red"},
		Filters: []rf.Filter{rf.DateRange("2018-07-01", "2018-07-31")},
		Points:  &rf.Points{MaxDistancePixels: 100},
	}
	var indexes []int64
	for sample, err := range ny.SampleEach(context.Background(), request, each(places(130))) {
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, sample.PointIndex)
	}
	if len(indexes) < 100 || !slices.IsSorted(indexes) || indexes[len(indexes)-1] != 129 {
		t.Error(indexes)
	}
}

func TestSamplesThatAreLeft(t *testing.T) {
	client, ny := open(t, "ny")
	endless := func(yield func(float64, float64) bool) {
		for yield(-74.0, 40.7) {
		}
	}
	request := rf.Request{Bands: []string{"red"}, Points: &rf.Points{MaxDistancePixels: 100}}
	count := 0
	for _, err := range ny.SampleEach(context.Background(), request, endless) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == 100 {
			break
		}
	}
	waitForNoStream(t, client)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	for _, err := range ny.SampleEach(ctx, request, endless) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Error(last)
	}
	waitForNoStream(t, client)
}

func TestExchangesThatAreRefused(t *testing.T) {
	_, ny := open(t, "ny")
	for words, one := range map[string]struct {
		request rf.Request
		code    rf.Code
	}{
		"rad":           {rf.Request{Bands: []string{"rad"}}, rf.ErrUnknownBand},
		"given twice":   {rf.Request{Bands: []string{"red"}, Points: &rf.Points{X: []float64{1}, Y: []float64{1}}}, rf.ErrBadRequest},
		"more than one": {rf.Request{Bands: []string{"red"}, Geometries: boroughs}, rf.ErrBadRequest},
		"EPSG:0":        {rf.Request{Bands: []string{"red"}, Points: &rf.Points{CRS: "EPSG:0"}}, rf.ErrCRSRequired},
	} {
		var last error
		for _, err := range ny.SampleEach(context.Background(), one.request, each(places(3))) {
			last = err
		}
		if !errors.Is(last, one.code) || !strings.Contains(last.Error(), words) {
			t.Errorf("%s: %v", words, last)
		}
	}
}
