// Command conformance reads tickets with this client and prints what came of them as JSON, to be compared with other clients.
//
//	conformance -url grpc://127.0.0.1:8815 tickets.json
//
// The file holds a list of {"name": ..., "ticket": ...}; a ticket is text in base64 (of a google.protobuf.Any, or of JSON) or a JSON
// object. For each, the answer has the plan, the columns, and a SHA-256 per band over its pixels: little-endian, row by row, chips in
// the order of the read, invalid pixels of a masked read as they lie under their nulls; mask_sha256 is over a byte (1: invalid)
// per pixel. Or it has the error.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash"
	"os"
	"time"

	rf "github.com/rasterflight/rasterflight/client/go"
)

type vector struct {
	Name   string `json:"name"`
	Ticket ticket `json:"ticket"`
}

// ticket is base64, or JSON as it stands.
type ticket []byte

func (t *ticket) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		*t = append(ticket(nil), data...)
		return nil
	}
	return json.Unmarshal(data, (*[]byte)(t))
}

type answer struct {
	Name    string     `json:"name"`
	Plan    *plan      `json:"plan,omitempty"`
	Schema  []column   `json:"schema,omitempty"`
	Rows    int64      `json:"rows"`
	Chips   int64      `json:"chips"`
	Bands   []*digest  `json:"bands,omitempty"`
	Skipped []string   `json:"skipped,omitempty"`
	Error   *errorFact `json:"error,omitempty"`
}

type plan struct {
	Records        int64    `json:"records"`
	Chips          int64    `json:"chips"`
	Rows           int64    `json:"rows"`
	BytesToReceive int64    `json:"bytes_to_receive"`
	CRS            []string `json:"crs"`
}

type column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable"`
}

type digest struct {
	Band       string `json:"band"`
	DType      string `json:"dtype"`
	Pixels     int64  `json:"pixels"`
	SHA256     string `json:"sha256"`
	MaskSHA256 string `json:"mask_sha256,omitempty"`

	pixels, mask hash.Hash
}

type errorFact struct {
	Code      rf.Code `json:"code"`
	Message   string  `json:"message"`
	Field     string  `json:"field,omitempty"`
	Hint      string  `json:"hint,omitempty"`
	Record    string  `json:"record,omitempty"`
	Asset     string  `json:"asset,omitempty"`
	Retryable bool    `json:"retryable"`
}

func main() {
	url := flag.String("url", "", "of the server; RASTERFLIGHT_URL unless said")
	timeout := flag.Duration("timeout", 5*time.Minute, "for all tickets together")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	if err := run(ctx, *url, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		return err
	}
	client, err := rf.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	answers := make([]*answer, len(vectors))
	for i, one := range vectors {
		answers[i] = &answer{Name: one.Name}
		var told *rf.Error
		if err := answers[i].fill(ctx, client, one.Ticket); errors.As(err, &told) {
			answers[i].Error = &errorFact{
				told.Code, told.Message, told.Field, told.Hint, told.Record, told.Asset, told.Retryable,
			}
		} else if err != nil {
			return fmt.Errorf("%s: %w", one.Name, err)
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answers)
}

func (a *answer) fill(ctx context.Context, client *rf.Client, ticket []byte) error {
	told, err := client.PlanTicket(ctx, ticket)
	if err != nil {
		return err
	}
	a.Plan = &plan{told.Records, told.Chips, told.Rows, told.BytesToReceive, told.CRS}
	for _, field := range told.Schema.Fields() {
		a.Schema = append(a.Schema, column{field.Name, field.Type.String(), field.Nullable})
	}
	stream, err := told.Read(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if bands := rf.BandFields(told.Schema); len(bands) > 0 {
		err = a.readChips(stream, bands)
	} else {
		for stream.Next() {
		}
		err = stream.Err()
	}
	a.Rows = stream.Rows()
	for _, record := range stream.Skipped() {
		a.Skipped = append(a.Skipped, record.RecordID)
	}
	return err
}

func (a *answer) readChips(stream *rf.Stream, bands []rf.BandField) error {
	digests := map[string]*digest{}
	for _, band := range bands {
		one := &digest{Band: band.Name, DType: band.DType, pixels: sha256.New(), mask: sha256.New()}
		digests[band.Name] = one
		a.Bands = append(a.Bands, one)
	}
	masked := false
	for chip, err := range stream.Chips() {
		if err != nil {
			return err
		}
		a.Chips++
		for _, band := range chip.Bands {
			one := digests[band.Name]
			one.pixels.Write(band.Data)
			one.Pixels += int64(band.Height) * int64(band.Width)
			one.mask.Write(flags(band.Mask))
			masked = masked || band.Mask != nil
		}
	}
	for _, one := range a.Bands {
		one.SHA256 = hex.EncodeToString(one.pixels.Sum(nil))
		if masked {
			one.MaskSHA256 = hex.EncodeToString(one.mask.Sum(nil))
		}
	}
	return nil
}

// flags gives a byte per truth.
func flags(mask []bool) []byte {
	bytes := make([]byte, len(mask))
	for i, invalid := range mask {
		if invalid {
			bytes[i] = 1
		}
	}
	return bytes
}
