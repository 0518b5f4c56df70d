package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// columns are digests of the columns of a table, by name; the fields of a struct are columns of their own.
type columns []*digest

// digest is what a vector says of a column.
type digest struct {
	name          string
	field         int // of the struct; -1: the column is none
	column        int
	isList        bool
	leaves, nulls int64
	bytes, valid  hash.Hash
	lengths       []any
}

func newColumns(schema *arrow.Schema) columns {
	var all columns
	add := func(name string, column, field int, kind arrow.DataType) {
		_, isList := kind.(arrow.ListLikeType)
		all = append(all, &digest{
			name: name, column: column, field: field, isList: isList, bytes: sha256.New(), valid: sha256.New(), lengths: []any{},
		})
	}
	for i, column := range schema.Fields() {
		if structure, ok := column.Type.(*arrow.StructType); ok {
			for j, field := range structure.Fields() {
				add(column.Name+"."+field.Name, i, j, field.Type)
			}
			continue
		}
		add(column.Name, i, -1, column.Type)
	}
	return all
}

func (c columns) add(batch arrow.RecordBatch) {
	for _, one := range c {
		column := batch.Column(one.column)
		if one.field < 0 {
			one.add(column, column.IsValid)
			continue
		}
		structure := column.(*array.Struct)
		field := structure.Field(one.field)
		one.add(field, func(i int) bool { return structure.IsValid(i) && field.IsValid(i) })
	}
}

func (c columns) facts() map[string]any {
	all := map[string]any{}
	for _, one := range c {
		facts := map[string]any{"leaves": one.leaves, "nulls": one.nulls, "sha256": hex.EncodeToString(one.bytes.Sum(nil))}
		if one.nulls > 0 {
			facts["validity"] = hex.EncodeToString(one.valid.Sum(nil))
		}
		if one.isList {
			facts["lengths"] = one.lengths
		}
		all[one.name] = facts
	}
	return all
}

func (d *digest) add(values arrow.Array, valid func(int) bool) {
	lists, ok := values.(array.ListLike)
	if !ok {
		d.addLeaves(values, valid)
		return
	}
	for i := range lists.Len() {
		if !valid(i) {
			d.lengths = append(d.lengths, nil)
			continue
		}
		start, end := lists.ValueOffsets(i)
		d.lengths = append(d.lengths, end-start)
		d.addInner(array.NewSlice(lists.ListValues(), start, end))
	}
}

// addInner takes apart what lies in a list.
func (d *digest) addInner(values arrow.Array) {
	defer values.Release()
	lists, ok := values.(array.ListLike)
	if !ok {
		d.addLeaves(values, values.IsValid)
		return
	}
	for i := range lists.Len() {
		if lists.IsValid(i) {
			start, end := lists.ValueOffsets(i)
			d.addInner(array.NewSlice(lists.ListValues(), start, end))
		}
	}
}

func (d *digest) addLeaves(values arrow.Array, valid func(int) bool) {
	flags := make([]byte, values.Len())
	for i := range flags {
		if valid(i) {
			flags[i] = 1
			d.bytes.Write(leaf(values, i))
		} else {
			d.nulls++
		}
	}
	d.leaves += int64(len(flags))
	d.valid.Write(flags)
}

func leaf(values arrow.Array, i int) []byte {
	switch values := values.(type) {
	case *array.String:
		return sized([]byte(values.Value(i)))
	case *array.Binary:
		return sized(values.Value(i))
	case *array.Boolean:
		if values.Value(i) {
			return []byte{1}
		}
		return []byte{0}
	case *array.Null:
		return nil
	}
	width := values.DataType().(arrow.FixedWidthDataType).BitWidth() / 8
	at := (values.Data().Offset() + i) * width
	return values.Data().Buffers()[1].Bytes()[at : at+width]
}

func sized(text []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
}

// schemaText are the columns of a schema.
func schemaText(schema *arrow.Schema) []any {
	fields := []any{}
	for _, field := range schema.Fields() {
		metadata := map[string]any{}
		for i, key := range field.Metadata.Keys() {
			if strings.HasPrefix(key, "rasterflight:") || key == "ARROW:extension:name" {
				metadata[key] = field.Metadata.Values()[i]
			}
		}
		fields = append(fields, map[string]any{
			"name": field.Name, "type": typeText(field.Type), "nullable": field.Nullable, "metadata": metadata,
		})
	}
	return fields
}

func typeText(kind arrow.DataType) string {
	switch kind := kind.(type) {
	case *arrow.StructType:
		fields := make([]string, kind.NumFields())
		for i, field := range kind.Fields() {
			fields[i] = field.Name + ": " + itemText(field)
		}
		return "struct<" + strings.Join(fields, ", ") + ">"
	case *arrow.FixedSizeListType:
		return fmt.Sprintf("fixed_size_list<%s>[%d]", itemText(kind.ElemField()), kind.Len())
	case *arrow.ListType:
		return "list<" + itemText(kind.ElemField()) + ">"
	case *arrow.TimestampType:
		if kind.TimeZone == "" {
			return "timestamp[" + kind.Unit.String() + "]"
		}
		return "timestamp[" + kind.Unit.String() + ", " + kind.TimeZone + "]"
	}
	return kind.String()
}

func itemText(field arrow.Field) string {
	if field.Nullable {
		return typeText(field.Type)
	}
	return typeText(field.Type) + " not null"
}
