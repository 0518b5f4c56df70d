package rasterflight

import (
	"fmt"
	"strings"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// Filter is a condition on records; made by the functions of this file. It is given its place in the list of filters, for errors.
type Filter func(position int) (*rasterflightv1.Filter, error)

// CloudCoverLT keeps records whose eo:cloud_cover (0 to 100) is below this.
func CloudCoverLT(percent float64) Filter {
	return plain(&rasterflightv1.Filter{CloudCoverLt: &percent})
}

// DateRange keeps records between two dates or times (ISO 8601), both included. A date without a time covers its whole day (UTC),
// an empty text is no bound.
func DateRange(start, end string) Filter {
	if start == "" && end == "" {
		return faulty("date_range", "date_range has neither start nor end")
	}
	return plain(&rasterflightv1.Filter{DateRange: &rasterflightv1.DateRange{Start: start, End: end}})
}

// InBBox keeps records whose footprint intersects a box in lon/lat.
func InBBox(box BBox) Filter {
	return plain(&rasterflightv1.Filter{Bbox: box.message()})
}

// Intersects keeps records whose footprint intersects one of these areas.
func Intersects(areas *Geometries) Filter {
	return func(position int) (*rasterflightv1.Filter, error) {
		message, err := areas.message(field(position, "geometries"))
		return &rasterflightv1.Filter{Geometries: message}, err
	}
}

// IDs keeps the records of these ids; each must exist.
func IDs(ids ...string) Filter {
	if len(ids) == 0 {
		return faulty("ids", "ids is empty")
	}
	return plain(&rasterflightv1.Filter{Ids: ids})
}

// Split keeps records that have one of these values in a column; the column "" is "split".
func Split(column string, values ...string) Filter {
	if len(values) == 0 {
		return faulty("split", "split is empty")
	}
	return plain(&rasterflightv1.Filter{Split: values, SplitColumn: column})
}

// Where keeps records for which a CQL2 expression is true: text, or JSON. It may use any column of the records:
//
//	"eo:cloud_cover" < 20 AND platform IN ('landsat-8', 'landsat-9')
func Where(cql2 string) Filter {
	if strings.TrimSpace(cql2) == "" {
		return faulty("where", "where is empty")
	}
	return plain(&rasterflightv1.Filter{Where: cql2})
}

func plain(message *rasterflightv1.Filter) Filter {
	return func(int) (*rasterflightv1.Filter, error) { return message, nil }
}

// faulty is a filter that says nothing; on the wire that would mean "all".
func faulty(name, message string) Filter {
	return func(position int) (*rasterflightv1.Filter, error) {
		return nil, badRequest(field(position, name), "%s", message)
	}
}

func field(position int, name string) string {
	return fmt.Sprintf("filters[%d].%s", position, name)
}
