package rasterflight_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	rf "github.com/rasterflight/rasterflight/client/go"
	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

func TestErrorsOfTheServer(t *testing.T) {
	client, ny := open(t, "ny")
	ctx := context.Background()
	for _, one := range []struct {
		code  rf.Code
		field string
		words string
		call  func() error
	}{
		{rf.ErrUnknownBand, "bands", "rad", func() error {
			_, err := ny.Plan(ctx, rf.Request{Bands: []string{"rad"}})
			return err
		}},
		{rf.ErrCollectionNotFound, "collection", "nz", func() error {
			_, err := client.Collection(ctx, "nz")
			return err
		}},
		{rf.ErrNoData, "", "", func() error {
			_, err := ny.Plan(ctx, rf.Request{Bands: []string{"red"}, Geometries: rf.BBoxes(rf.BBox{MaxX: 1, MaxY: 1})})
			return err
		}},
		{rf.ErrBadGeometry, "geometries", "", func() error {
			_, err := ny.Plan(ctx, rf.Request{Bands: []string{"red"}, Geometries: rf.WKB([]byte("x"))})
			return err
		}},
		{rf.ErrRecordNotFound, "filters[0].ids", "there-is-none", func() error {
			_, err := ny.Plan(ctx, rf.Request{Bands: []string{"red"}, Filters: []rf.Filter{rf.IDs("there-is-none")}})
			return err
		}},
		{rf.ErrBadRequest, "filters[1].where", "", func() error {
			_, err := ny.Records(ctx, rf.DateRange("2018-05-01", ""), rf.Where("no_such_column = 1"))
			return err
		}},
	} {
		var told *rf.Error
		err := one.call()
		if !errors.As(err, &told) || !errors.Is(err, one.code) {
			t.Errorf("%s: %v", one.code, err)
			continue
		}
		if !strings.Contains(told.Field, one.field) || !strings.Contains(err.Error(), one.words) || told.RequestID == "" || told.Retryable {
			t.Errorf("%s: %+v", one.code, told)
		}
	}
}

func TestErrorsOfAStream(t *testing.T) {
	client, ny := open(t, "ny")
	plan, err := client.PlanTicket(context.Background(), []byte(`{"collection": "ny", "bands": ["red"]}`))
	if err != nil {
		t.Fatal(err)
	}
	plan.Endpoints[0].Ticket, err = rf.Ticket(&rasterflightv1.ReadRequest{Collection: ny.Name, Bands: []string{"red"}, Snapshot: "old"})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := plan.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if stream.Next() || !errors.Is(stream.Err(), rf.ErrStaleSnapshot) {
		t.Error(stream.Err())
	}
}

func TestEncrypted(t *testing.T) {
	url, token := os.Getenv("RASTERFLIGHT_TEST_TLS_URL"), os.Getenv("RASTERFLIGHT_TEST_TOKEN")
	if url == "" {
		t.Skip("RASTERFLIGHT_TEST_TLS_URL names no server")
	}
	file := func(variable string) []byte {
		content, err := os.ReadFile(os.Getenv(variable))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	ctx := context.Background()
	roots := rf.WithRootCerts(file("RASTERFLIGHT_TEST_ROOT_CERTS"))
	shown := rf.WithClientCertificate(file("RASTERFLIGHT_TEST_CLIENT_CERTIFICATE"), file("RASTERFLIGHT_TEST_CLIENT_KEY"))
	client, err := rf.Connect(ctx, url, roots, shown, rf.WithToken(token))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Collection(ctx, "ny"); err != nil {
		t.Error(err)
	}
	for words, one := range map[string]struct {
		code rf.Code
		opts []rf.Option
	}{
		"unknown authority":     {rf.ErrUnavailable, []rf.Option{shown, rf.WithToken(token)}},
		"WithClientCertificate": {rf.ErrUnavailable, []rf.Option{roots, rf.WithToken(token)}},
		"token":                 {rf.ErrUnauthenticated, []rf.Option{roots, shown, rf.WithToken(token + "x")}},
	} {
		client, err := rf.Connect(ctx, url, append(one.opts, rf.WithRetries(0))...)
		if err == nil {
			_, err = client.Collection(ctx, "ny")
			_ = client.Close()
		}
		if !errors.Is(err, one.code) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}
