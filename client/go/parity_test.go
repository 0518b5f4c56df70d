package rasterflight_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"maps"
	"os"
	"testing"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// expected is what the Python client makes of a ticket.
type expected struct {
	Name   string
	Ticket []byte
	Chips  int64
	// Pixels and Masks are a SHA-256 for each band: of pixels, little-endian, and of a byte for each that says whether it is invalid.
	Pixels, Masks              map[string]string
	Code, Message, Field, Hint string
}

func TestPixelsAndErrorsAreThoseOfPython(t *testing.T) {
	path := os.Getenv("RASTERFLIGHT_TEST_EXPECTED")
	if path == "" {
		t.Skip("RASTERFLIGHT_TEST_EXPECTED names no file")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []expected
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	client := connect(t)
	for _, one := range cases {
		t.Run(one.Name, func(t *testing.T) {
			plan, chips, pixels, masks, err := digests(client, one.Ticket)
			if one.Code != "" {
				var told *rf.Error
				if !errors.As(err, &told) || told.Code != rf.Code(one.Code) || told.Message != one.Message ||
					told.Field != one.Field || told.Hint != one.Hint {
					t.Errorf("%+v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if chips != one.Chips || chips != plan.Chips {
				t.Errorf("%d chips, planned were %d", chips, plan.Chips)
			}
			if !maps.Equal(pixels, one.Pixels) || !maps.Equal(masks, one.Masks) {
				t.Errorf("pixels %v, masks %v", pixels, masks)
			}
		})
	}
}

func digests(client *rf.Client, ticket []byte) (plan *rf.Plan, chips int64, pixels, masks map[string]string, err error) {
	if plan, err = client.PlanTicket(context.Background(), ticket); err != nil {
		return
	}
	stream, err := plan.Read(context.Background())
	if err != nil {
		return
	}
	defer stream.Close()
	ofPixels, ofMasks := map[string]hash.Hash{}, map[string]hash.Hash{}
	for chip, err := range stream.Chips() {
		if err != nil {
			return plan, chips, nil, nil, err
		}
		chips++
		for _, band := range chip.Bands {
			feed(ofPixels, band.Name, band.Data)
			if band.Mask != nil {
				feed(ofMasks, band.Name, flags(band.Mask))
			}
		}
	}
	if stream.Rows() != plan.Rows {
		return plan, chips, nil, nil, errors.New("there are other rows than were planned")
	}
	return plan, chips, sums(ofPixels), sums(ofMasks), nil
}

func feed(hashes map[string]hash.Hash, band string, data []byte) {
	if hashes[band] == nil {
		hashes[band] = sha256.New()
	}
	hashes[band].Write(data)
}

func sums(hashes map[string]hash.Hash) map[string]string {
	texts := map[string]string{}
	for band, one := range hashes {
		texts[band] = hex.EncodeToString(one.Sum(nil))
	}
	return texts
}

func flags(mask []bool) []byte {
	bytes := make([]byte, len(mask))
	for i, invalid := range mask {
		if invalid {
			bytes[i] = 1
		}
	}
	return bytes
}
