package rasterflight

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// About is what a server tells of a collection.
type About struct {
	Name string `json:"name"`
	// Snapshot is the version of the index.
	Snapshot string `json:"snapshot"`
	// RecordCount is how many records there are.
	RecordCount int64  `json:"records"`
	Bands       []Band `json:"bands"`
	// CRS of the rasters, by name.
	CRS []string `json:"crs"`
	// CRSRecords counts the records of each CRS.
	CRSRecords map[string]int64 `json:"crs_counts"`
	// Extent is minx, miny, maxx, maxy in lon/lat; nil: no record has a footprint.
	Extent *[4]float64 `json:"extent"`
	// Start and End are the times of the first and of the last record, UTC; zero: not known.
	Start, End time.Time `json:"-"`
	// Months counts the records of each month ("2018-04").
	Months      map[string]int64 `json:"months"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	License     string           `json:"license"`
	Attribution string           `json:"attribution"`
}

// Band is what a server tells of a band. What files do not say is empty or nil.
type Band struct {
	Name string `json:"name"`
	// Aliases are further names that it answers to.
	Aliases []string `json:"aliases"`
	// DType is NumPy's name of the pixel type of most files: "uint16".
	DType string `json:"dtype"`
	// Nodata as files declare it: "0", "nan".
	Nodata *string `json:"nodata"`
	// Physical value = pixel * Scale + Offset, as the first file says.
	Scale       *float64 `json:"scale"`
	Offset      *float64 `json:"offset"`
	Unit        string   `json:"unit"`
	Description string   `json:"description"`
	// Colorinterp is the colour interpretation in the words of rasterio: "gray", "red", "palette" ...
	Colorinterp string `json:"colorinterp"`
	// Classes: values are names rather than amounts.
	Classes bool `json:"classes"`
	// Resolution lists widths of pixels in units of their CRS, the most frequent first.
	Resolution []float64 `json:"resolution"`
}

// Collection is a collection of records, or a part of it; made by [Client.Collection], never changed.
type Collection struct {
	About
	// Schema is that of its records.
	Schema *arrow.Schema

	client  *Client
	filters []Filter
}

// Collections lists what the server has.
func (c *Client) Collections(ctx context.Context) ([]*Collection, error) {
	var infos []*flight.FlightInfo
	err := c.trying(ctx, func() error {
		stream, err := c.flight.ListFlights(ctx, &flight.Criteria{})
		if err != nil {
			return translate(err, nil, c.url)
		}
		infos = nil
		return drain(stream, c.url, func(info *flight.FlightInfo) { infos = append(infos, info) })
	})
	if err != nil {
		return nil, err
	}
	collections := make([]*Collection, 0, len(infos))
	for _, info := range infos {
		collection, err := c.describe(info)
		if err != nil {
			return nil, err
		}
		collections = append(collections, collection)
	}
	return collections, nil
}

// Collection opens a collection. ErrCollectionNotFound: there is none of this name.
func (c *Client) Collection(ctx context.Context, name string) (*Collection, error) {
	info, err := c.info(ctx, &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{name}})
	if err != nil {
		return nil, err
	}
	return c.describe(info)
}

func (c *Client) describe(info *flight.FlightInfo) (*Collection, error) {
	collection := &Collection{client: c}
	var times struct {
		Time []*string `json:"time"`
	}
	for _, target := range []any{&collection.About, &times} {
		if err := json.Unmarshal(info.AppMetadata, target); err != nil {
			return nil, protocolError(c.url, "it tells of a collection in words that are no JSON of the kind expected: "+err.Error())
		}
	}
	for i, end := range []*time.Time{&collection.Start, &collection.End} {
		if i >= len(times.Time) || times.Time[i] == nil {
			continue
		}
		parsed, err := parseTime(*times.Time[i])
		if err != nil {
			return nil, protocolError(c.url, err.Error())
		}
		*end = parsed
	}
	var err error
	collection.Schema, err = c.schema(info)
	return collection, err
}

func (c *Client) schema(info *flight.FlightInfo) (*arrow.Schema, error) {
	schema, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
	if err != nil {
		return nil, protocolError(c.url, "the schema cannot be read: "+err.Error())
	}
	return schema, nil
}

// Band finds a band by its name or an alias; nil: there is none.
func (c *Collection) Band(name string) *Band {
	for i := range c.Bands {
		if c.Bands[i].Name == name || slices.Contains(c.Bands[i].Aliases, name) {
			return &c.Bands[i]
		}
	}
	return nil
}

// Subset gives the part of the collection for which these filters hold, too.
func (c *Collection) Subset(filters ...Filter) *Collection {
	part := *c
	part.filters = slices.Concat(c.filters, filters)
	return &part
}

// Plan finds out what a read would do; no pixel is fetched. ErrNoData: no record matches, or none overlaps an area.
func (c *Collection) Plan(ctx context.Context, request Request) (*Plan, error) {
	message, err := c.message(request)
	if err != nil {
		return nil, err
	}
	return c.client.Plan(ctx, message)
}

// Read plans a read, and starts it.
func (c *Collection) Read(ctx context.Context, request Request, opts ...ReadOption) (*Stream, error) {
	plan, err := c.Plan(ctx, request)
	if err != nil {
		return nil, err
	}
	return plan.Read(ctx, opts...)
}

// Records reads the records for which these filters hold, besides those of the collection: rows of the index, in batches of
// the columns of Schema.
func (c *Collection) Records(ctx context.Context, filters ...Filter) (*Stream, error) {
	return c.Read(ctx, Request{Layout: LayoutRecords, Filters: filters})
}

func (c *Collection) message(request Request) (*rasterflightv1.ReadRequest, error) {
	request.Filters = slices.Concat(c.filters, request.Filters)
	return request.Message(c.Name)
}

func parseTime(text string) (time.Time, error) {
	if parsed, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return parsed.UTC(), nil
	}
	return time.Parse("2006-01-02T15:04:05.999999999", text)
}
