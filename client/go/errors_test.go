package rasterflight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

func TestErrorsAreToldByTheDetail(t *testing.T) {
	detail, err := proto.Marshal(&rasterflightv1.ErrorDetail{
		Code: "UNKNOWN_BAND", Message: "there is no band 'rad'", RequestId: "r-1", Retryable: true, Collection: "ny",
		Record: "scene", Asset: "red", Field: "bands[0]", Hint: "did you mean 'red'?", RetryAfter: 1.5,
	})
	if err != nil {
		t.Fatal(err)
	}
	translated := translate(status.Error(codes.Unknown, "noise"), metadata.Pairs(errorTrailer, string(detail)), "grpc://x:1")
	var told *Error
	if !errors.As(translated, &told) {
		t.Fatalf("%T", translated)
	}
	want := Error{
		Code: ErrUnknownBand, Message: "there is no band 'rad'", RequestID: "r-1", Retryable: true, Collection: "ny",
		Record: "scene", Asset: "red", Field: "bands[0]", Hint: "did you mean 'red'?", RetryAfter: 1500 * time.Millisecond,
	}
	if *told != want {
		t.Errorf("%+v", *told)
	}
	if text := translated.Error(); text != "ny/scene/red: there is no band 'rad' (did you mean 'red'?)" {
		t.Error(text)
	}
	wrapped := fmt.Errorf("reading: %w", translated)
	for code, is := range map[error]bool{
		ErrUnknownBand: true, ErrBadRequest: true, ErrNoData: false, ErrUnavailable: false, context.Canceled: false,
	} {
		if errors.Is(wrapped, code) != is {
			t.Errorf("errors.Is(%v) is %v", code, !is)
		}
	}
}

func TestErrorsWithoutADetail(t *testing.T) {
	for _, one := range []struct {
		err   error
		is    error
		words string
	}{
		{status.Error(codes.Unavailable, "connection refused"), ErrUnavailable, "no server answers at grpc://x:1"},
		{status.Error(codes.DeadlineExceeded, ""), context.DeadlineExceeded, "within the deadline"},
		{context.DeadlineExceeded, ErrDeadline, "give the context more time"},
		{status.Error(codes.Canceled, ""), context.Canceled, "cancelled"},
		{context.Canceled, ErrCancelled, "cancelled"},
		{status.Error(codes.Unauthenticated, "who?"), ErrUnauthenticated, "who?"},
		{status.Error(codes.PermissionDenied, "no"), ErrForbidden, "no"},
		{status.Error(codes.ResourceExhausted, "message larger than max"), ErrLimitExceeded, "WithMaxMessageSize"},
		{status.Error(codes.Unknown, "oh"), ErrInternal, "oh"},
		{status.Error(codes.Unimplemented, "unknown service"), ErrProtocol, "unknown service"},
	} {
		got := translate(one.err, nil, "grpc://x:1")
		if !errors.Is(got, one.is) || !strings.Contains(got.Error(), one.words) {
			t.Errorf("%v: %v", one.err, got)
		}
	}
	if !errors.Is(&Error{Code: ErrBusy}, ErrUnavailable) || errors.Is(&Error{Code: ErrUnavailable}, ErrBusy) {
		t.Error("BUSY is a kind of UNAVAILABLE, and not the other way round")
	}
}
