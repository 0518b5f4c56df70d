package rasterflight

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Chip are the pixels of one record under one area; bands on another grid make a chip of their own.
type Chip struct {
	RecordID string
	// Datetime of the record, UTC; zero: it has none.
	Datetime time.Time
	// CloudCover is the record's eo:cloud_cover, 0 to 100; NaN: not known.
	CloudCover float64
	Collection string
	// GeometryID is the position of the area, or of the window, in the request, from 1 on; 0: the whole record.
	GeometryID int64
	// CRS of the pixels; empty: not known.
	CRS string
	// Transform of the pixels; zero: not known.
	Transform     Affine
	Height, Width int
	// Bands in the order asked for.
	Bands []RawPixels
}

// chipKey tells chips apart: bands on another grid may come in between.
type chipKey struct {
	record   string
	geometry int64
	bands    string
}

// Chips takes the stream as chips: the blocks of large ones are put together, records that could not be read are left out whole
// (see [Stream.Skipped]). ErrUnsupportedLayout: the rows are no chips.
func (s *Stream) Chips() iter.Seq2[*Chip, error] {
	return func(yield func(*Chip, error) bool) {
		if missing := missingColumns(s.Schema(), chipColumns); missing != "" {
			yield(nil, &Error{
				Code: ErrUnsupportedLayout, Message: "these rows are not chips: there is no column " + missing,
				Hint: "read with LayoutChips",
			})
			return
		}
		bands := BandFields(s.Schema())
		assemblers := map[int]*assembler{}
		for s.Next() {
			one, known := assemblers[s.current.endpoint]
			if !known {
				one = &assembler{unfinished: map[chipKey]*unfinished{}, waits: s.Schema().HasField("error")}
				assemblers[s.current.endpoint] = one
			}
			if err := one.add(s.current.batch, bands, s.plan.client.url); err != nil {
				s.Close()
				s.err = err
				break
			}
			if !one.giveAll(yield) {
				return
			}
		}
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		for _, one := range assemblers {
			one.finishRecord()
			for key := range one.unfinished {
				s.err = protocolError(s.plan.client.url, "the stream ended inside a chip of "+key.record)
				yield(nil, s.err)
				return
			}
			if !one.giveAll(yield) {
				return
			}
		}
	}
}

// assembler makes chips of the rows of one endpoint.
type assembler struct {
	unfinished map[chipKey]*unfinished
	// waits: a record comes whole or not at all, so its chips wait for its last row.
	waits   bool
	record  string
	failed  bool
	waiting []*Chip
	ready   []*Chip
}

type unfinished struct {
	chip    *Chip
	missing int
}

func (a *assembler) add(batch arrow.RecordBatch, bands []BandField, url string) error {
	rows, err := newRows(batch, bands, url)
	if err != nil {
		return err
	}
	for i := range int(batch.NumRows()) {
		record := rows.recordIDs.Value(i)
		if record != a.record {
			a.finishRecord()
			a.record, a.failed = clone(record), false
		}
		if rows.errors != nil && rows.errors.IsValid(i) {
			a.failed = true
			for key := range a.unfinished {
				if key.record == record {
					delete(a.unfinished, key)
				}
			}
			continue
		}
		block, err := rows.block(i)
		if err != nil {
			return err
		}
		if len(block.chip.Bands) > 0 { // otherwise the record has none of these bands
			a.place(block)
		}
	}
	return nil
}

// place puts a block where it belongs.
func (a *assembler) place(block block) {
	if block.height == block.chip.Height {
		a.finished(block.chip)
		return
	}
	names := make([]string, len(block.chip.Bands))
	for i, band := range block.chip.Bands {
		names[i] = band.Name
	}
	key := chipKey{block.chip.RecordID, block.chip.GeometryID, strings.Join(names, "\x00")}
	whole, known := a.unfinished[key]
	if !known {
		whole = &unfinished{chip: block.chip.hollow(), missing: block.chip.Height}
		a.unfinished[key] = whole
	}
	for i, strip := range block.chip.Bands {
		band := &whole.chip.Bands[i]
		line := len(band.Data) / band.Height
		copy(band.Data[block.rowOff*line:], strip.Data)
		if band.Mask != nil {
			copy(band.Mask[block.rowOff*band.Width:], strip.Mask)
		}
	}
	if whole.missing -= block.height; whole.missing <= 0 {
		delete(a.unfinished, key)
		a.finished(whole.chip)
	}
}

// hollow makes a chip with room for all of its pixels.
func (c *Chip) hollow() *Chip {
	whole := *c
	whole.Bands = slices.Clone(c.Bands)
	for i := range whole.Bands {
		band := &whole.Bands[i]
		line := len(band.Data) / band.Height
		band.Data = make([]byte, line*c.Height)
		if band.Mask != nil {
			band.Mask = make([]bool, c.Height*c.Width)
		}
		band.Height = c.Height
	}
	return &whole
}

func (a *assembler) finished(chip *Chip) {
	if a.waits {
		a.waiting = append(a.waiting, chip)
	} else {
		a.ready = append(a.ready, chip)
	}
}

func (a *assembler) finishRecord() {
	if !a.failed {
		a.ready = append(a.ready, a.waiting...)
	}
	a.waiting = nil
}

func (a *assembler) giveAll(yield func(*Chip, error) bool) bool {
	ready := a.ready
	a.ready = nil
	for _, chip := range ready {
		if !yield(chip, nil) {
			return false
		}
	}
	return true
}
