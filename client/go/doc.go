// Package rasterflight reads collections of cloud-optimised GeoTIFFs from a rasterflight server.
//
//	client, err := rasterflight.Connect(ctx, "grpc://127.0.0.1:8815")
//	ny, err := client.Collection(ctx, "ny")
//	summer := ny.Subset(rasterflight.DateRange("2018-06-01", "2018-08-31"))
//	stream, err := summer.Read(ctx, rasterflight.Request{
//		Bands:      []string{"red", "nir08"},
//		Geometries: rasterflight.BBoxes(rasterflight.BBox{MinX: -74.1, MinY: 40.5, MaxX: -73.7, MaxY: 40.9}),
//	})
//	defer stream.Close()
//	for chip, err := range stream.Chips() {
//		red, err := rasterflight.PixelsOf[uint16](chip, "red")
//		...
//	}
//
// # Memory
//
// Chips, pixels and samples belong to the caller, for as long as he likes: the garbage collector takes them back. Chips that came
// in one row of the stream are not copied, so each of them keeps the record batch that it came in (up to 8 MiB); copy what
// is to stay for long. Record batches are as everywhere in Arrow: one is valid until the next call of [Stream.Next] or until
// [Stream.Close], unless it is retained.
//
// # Errors
//
// All errors of the service are an [*Error]. [errors.Is] tells them apart by their [Code], such as [ErrUnknownBand].
package rasterflight
