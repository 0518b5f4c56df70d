// Package adbc drives a server through the ADBC driver for Flight SQL, as programs in Go have it.
package adbc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-adbc/go/adbc"
	"github.com/apache/arrow-adbc/go/adbc/driver/flightsql"
	"github.com/apache/arrow-adbc/go/adbc/sqldriver"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

const area = "POLYGON((-74.1 40.6, -73.9 40.6, -73.9 40.8, -74.1 40.8, -74.1 40.6))"

func url(t *testing.T) string {
	t.Helper()
	url := os.Getenv("RASTERFLIGHT_URL")
	if url == "" {
		t.Skip("RASTERFLIGHT_URL names no server")
	}
	return url
}

func connect(t *testing.T, options map[string]string) (adbc.Connection, error) {
	t.Helper()
	database, err := flightsql.NewDriver(memory.DefaultAllocator).NewDatabase(options)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = database.Close() })
	connection, err := database.Open(context.Background())
	if err == nil {
		t.Cleanup(func() { _ = connection.Close() })
	}
	return connection, err
}

func open(t *testing.T) adbc.Connection {
	t.Helper()
	connection, err := connect(t, map[string]string{adbc.OptionKeyURI: url(t)})
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func prepared(t *testing.T, connection adbc.Connection, query string) adbc.Statement {
	t.Helper()
	statement, err := connection.NewStatement()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = statement.Close() })
	if err := statement.SetSqlQuery(query); err != nil {
		t.Fatal(err)
	}
	return statement
}

// texts takes all rows, a text for each value.
func texts(t *testing.T, reader array.RecordReader, err error) [][]string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	var rows [][]string
	for reader.Next() {
		batch := reader.RecordBatch()
		for row := range int(batch.NumRows()) {
			var values []string
			for _, column := range batch.Columns() {
				values = append(values, column.ValueStr(row))
			}
			rows = append(rows, values)
		}
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestMetadata(t *testing.T) {
	connection := open(t)
	ctx := context.Background()
	objects, err := connection.GetObjects(ctx, adbc.ObjectDepthTables, nil, nil, nil, nil, nil)
	if told := texts(t, objects, err); !strings.Contains(told[0][1], `"ny"`) || !strings.Contains(told[0][1], `"collections"`) {
		t.Error(told)
	}
	types, err := connection.GetTableTypes(ctx)
	if told := texts(t, types, err); len(told) != 2 {
		t.Error(told)
	}
	schema, err := connection.GetTableSchema(ctx, nil, nil, "ny")
	if err != nil || schema.Field(0).Name != "id" || schema.Field(1).Type.ID() != arrow.TIMESTAMP {
		t.Error(schema, err)
	}
}

func TestStatements(t *testing.T) {
	statement := prepared(t, open(t), "SELECT id, datetime::DATE FROM ny ORDER BY datetime LIMIT 1")
	reader, _, err := statement.ExecuteQuery(context.Background())
	want := []string{"LC08_L1TP_013032_20180405_20180417_01_T1", "2018-04-05"}
	if rows := texts(t, reader, err); len(rows) != 1 || !slices.Equal(rows[0], want) {
		t.Error(rows)
	}
}

func TestPreparedStatements(t *testing.T) {
	ctx := context.Background()
	statement := prepared(t, open(t), `SELECT record_id, count(*) FROM read_pixels('ny', bands := ['red'], geometry := ?)
		WHERE datetime < ? GROUP BY 1 ORDER BY 1`)
	if err := statement.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	parameters, err := statement.GetParameterSchema()
	if err != nil || parameters.NumFields() != 2 {
		t.Fatal(parameters, err)
	}
	counts := map[string]int{"2018-05-01": 2, "2018-08-01": 4}
	for before, records := range counts {
		bind(t, statement, area, before)
		reader, _, err := statement.ExecuteQuery(ctx)
		if rows := texts(t, reader, err); len(rows) != records || rows[0][1] != "38" {
			t.Errorf("before %s: %v", before, rows)
		}
	}
}

// bind gives a statement one row of texts.
func bind(t *testing.T, statement adbc.Statement, values ...string) {
	t.Helper()
	var columns []arrow.Array
	var fields []arrow.Field
	for _, value := range values {
		builder := array.NewStringBuilder(memory.DefaultAllocator)
		builder.Append(value)
		columns = append(columns, builder.NewArray())
		fields = append(fields, arrow.Field{Type: arrow.BinaryTypes.String})
	}
	batch := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 1)
	if err := statement.Bind(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
}

// The driver takes no message above 16 MiB; these are 128 MiB in one chip.
func TestALargeChip(t *testing.T) {
	statement := prepared(t, open(t), "SELECT b1, b2, b3, b4 FROM read_chips('big')")
	reader, _, err := statement.ExecuteQuery(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	pixels := 0
	for reader.Next() {
		for _, column := range reader.RecordBatch().Columns() {
			pixels += column.(*array.List).ListValues().Len()
		}
	}
	if reader.Err() != nil || pixels != 4*4096*4096 {
		t.Error(pixels, reader.Err())
	}
}

func TestAContextEndsAStatement(t *testing.T) {
	for name, make := range map[string]func() (context.Context, context.CancelFunc){
		"cancel": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			statement := prepared(t, open(t), "SELECT sum(hash(a.b1, b.b1)) FROM read_pixels('big') a, read_pixels('big') b")
			ctx, cancel := make()
			defer cancel()
			begin := time.Now()
			reader, _, err := statement.ExecuteQuery(ctx)
			if err == nil {
				for reader.Next() {
				}
				err = reader.Err()
				reader.Release()
			}
			var told adbc.Error
			want := map[string]adbc.Status{"cancel": adbc.StatusCancelled, "deadline": adbc.StatusTimeout}[name]
			if !errors.As(err, &told) || told.Code != want || time.Since(begin) > 10*time.Second {
				t.Errorf("after %s: %v", time.Since(begin), err)
			}
		})
	}
}

func TestErrorsTellTheirDetail(t *testing.T) {
	connection := open(t)
	for query, code := range map[string]string{
		"SELECT avg(red) FROM read_pixels('nyc')":                               "COLLECTION_NOT_FOUND",
		"SELECT * FROM read_pixels('ny', bands := ['rad'])":                     "UNKNOWN_BAND",
		"SELECT * FROM read_pixels('ny', bands := ['red'], geometry := 'POLY')": "BAD_GEOMETRY",
		"SELECT * FROM read_text('/etc/passwd')":                                "BAD_REQUEST",
	} {
		reader, _, err := prepared(t, connection, query).ExecuteQuery(context.Background())
		if err == nil {
			for reader.Next() {
			}
			err = reader.Err()
		}
		if told := detail(err); told.Code != code || told.RequestId == "" || !strings.Contains(err.Error(), "["+code+"] ") {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func detail(err error) *rasterflightv1.ErrorDetail {
	found := new(rasterflightv1.ErrorDetail)
	var told adbc.Error
	if errors.As(err, &told) {
		for _, one := range told.Details {
			if bytes, err := one.Serialize(); err == nil && one.Key() == "rasterflight-error-bin" {
				_ = proto.Unmarshal(bytes, found)
			}
		}
	}
	return found
}

func TestTokens(t *testing.T) {
	url, token := os.Getenv("RASTERFLIGHT_TEST_CLOSED_URL"), os.Getenv("RASTERFLIGHT_TEST_TOKEN")
	if url == "" {
		t.Skip("RASTERFLIGHT_TEST_CLOSED_URL names no server")
	}
	for name, one := range map[string]struct {
		options map[string]string
		code    string
	}{
		"header":   {map[string]string{flightsql.OptionAuthorizationHeader: "Bearer " + token}, ""},
		"password": {map[string]string{adbc.OptionKeyUsername: "any", adbc.OptionKeyPassword: token}, ""},
		"none":     {map[string]string{}, "UNAUTHENTICATED"},
		"wrong":    {map[string]string{flightsql.OptionAuthorizationHeader: "Bearer " + token + "x"}, "UNAUTHENTICATED"},
		"wrong password": {map[string]string{adbc.OptionKeyUsername: "any", adbc.OptionKeyPassword: token + "x"},
			"UNAUTHENTICATED"},
	} {
		one.options[adbc.OptionKeyURI] = url
		connection, err := connect(t, one.options)
		if err == nil {
			reader, _, failed := prepared(t, connection, "SELECT id FROM ny").ExecuteQuery(context.Background())
			if err = failed; err == nil && len(texts(t, reader, nil)) != 6 {
				t.Errorf("%s: not all records came", name)
			}
		}
		// of a handshake the driver keeps the words alone
		if told := fmt.Sprint(err); (err == nil) != (one.code == "") || err != nil && !strings.Contains(told, "["+one.code+"] ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDatabaseSQL(t *testing.T) {
	connector, err := sqldriver.Driver{Driver: flightsql.NewDriver(memory.DefaultAllocator)}.OpenConnector("uri=" + url(t))
	if err != nil {
		t.Fatal(err)
	}
	database := sql.OpenDB(connector)
	defer database.Close()
	// the driver binds parameters of prepared statements alone
	statement, err := database.Prepare("SELECT min(datetime::DATE), count(*) FROM read_pixels('ny', bands := ['red'], geometry := ?)")
	if err != nil {
		t.Fatal(err)
	}
	defer statement.Close()
	var day time.Time
	var pixels int64
	if err := statement.QueryRow(area).Scan(&day, &pixels); err != nil || day.Format(time.DateOnly) != "2018-04-05" || pixels != 220 {
		t.Error(day, pixels, err)
	}
}
