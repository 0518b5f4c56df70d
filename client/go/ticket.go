package rasterflight

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

// Ticket writes a request as the bytes of a Flight ticket, or of the command of a descriptor.
func Ticket(message *rasterflightv1.ReadRequest) ([]byte, error) {
	wrapped := new(anypb.Any)
	deterministic := proto.MarshalOptions{Deterministic: true}
	if err := anypb.MarshalFrom(wrapped, message, deterministic); err != nil {
		return nil, badRequest("request", "the request cannot be written: %v", err)
	}
	return deterministic.Marshal(wrapped)
}

// rewritten is a ticket whose request was changed.
func rewritten(ticket []byte, change func(*rasterflightv1.ReadRequest)) ([]byte, error) {
	message, wrapped := new(rasterflightv1.ReadRequest), new(anypb.Any)
	err := protojson.Unmarshal(ticket, message)
	if err != nil {
		if err = proto.Unmarshal(ticket, wrapped); err == nil {
			err = wrapped.UnmarshalTo(message)
		}
	}
	if err != nil {
		return nil, badRequest("ticket", "the ticket cannot be read: %v", err)
	}
	change(message)
	return Ticket(message)
}
