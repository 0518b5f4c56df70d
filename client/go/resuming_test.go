package rasterflight_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// rowsOf takes all rows as text.
func rowsOf(t *testing.T, stream *rf.Stream) []string {
	t.Helper()
	defer stream.Close()
	var rows []string
	for chip, err := range stream.Chips() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprint(chip.RecordID, chip.GeometryID, chip.Bands[0].Data))
	}
	return rows
}

func sameRows(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, and not %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: row %d differs", what, i)
			return
		}
	}
}

func counter(t *testing.T, client *rf.Client, name string) int {
	t.Helper()
	answer, err := client.Action(context.Background(), "stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	var stats map[string]any
	if err := json.Unmarshal(answer, &stats); err != nil {
		t.Fatal(err)
	}
	value, isNumber := stats[name].(float64)
	if !isNumber {
		t.Fatalf("there is no counter %s in %s", name, answer)
	}
	return int(value)
}

func reach(t *testing.T, variable string) (*rf.Client, *rf.Collection) {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" {
		t.Skip(variable + " names no server")
	}
	client, err := rf.Connect(context.Background(), url, rf.WithRetries(9))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	made, err := client.Collection(context.Background(), "made")
	if err != nil {
		t.Fatal(err)
	}
	return client, made
}

var wholeRecords = rf.Request{Bands: []string{"B1"}, BatchBytes: 1 << 18}

// Each connection of this one is cut after some hundred kilobytes.
func TestReadsOverConnectionsThatAreCut(t *testing.T) {
	_, made := open(t, "made")
	want := rowsOf(t, read(t, made, wholeRecords))
	_, cut := reach(t, "RASTERFLIGHT_TEST_CUT_URL")
	stream := read(t, cut, wholeRecords)
	sameRows(t, "cut", rowsOf(t, stream), want)
	if done, total := stream.Progress(); done != total || stream.Rows() < 2 {
		t.Error(done, total, stream.Rows())
	}
}

func TestWithoutTriesALossIsTold(t *testing.T) {
	reach(t, "RASTERFLIGHT_TEST_CUT_URL")
	client, err := rf.Connect(context.Background(), os.Getenv("RASTERFLIGHT_TEST_CUT_URL"), rf.WithRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	made, err := client.Collection(context.Background(), "made")
	if err != nil {
		t.Fatal(err)
	}
	stream := read(t, made, wholeRecords)
	for stream.Next() {
	}
	var told *rf.Error
	if !errors.As(stream.Err(), &told) || !strings.HasPrefix(told.Message, "the connection to "+client.URL()+" was lost") || !told.Retryable {
		t.Error(stream.Err())
	}
}

func TestReadsGoOnWhenAWorkerIsKilled(t *testing.T) {
	_, made := open(t, "made")
	want := rowsOf(t, read(t, made, wholeRecords))
	client, pair := reach(t, "RASTERFLIGHT_TEST_WORKERS_URL")
	stream := read(t, pair, wholeRecords)
	var rows []string
	for chip, err := range stream.Chips() {
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			if err := syscall.Kill(counter(t, client, "process"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		rows = append(rows, fmt.Sprint(chip.RecordID, chip.GeometryID, chip.Bands[0].Data))
	}
	sameRows(t, "killed", rows, want)
}
