package rasterflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

const errorTrailer = "rasterflight-error-bin"

// Code says what kind of error it is. It is an error itself, to be given to [errors.Is].
type Code string

// The codes of the service, and those of this client (the last two).
const (
	// ErrBadRequest also stands for its kin: ErrBadGeometry, ErrCRSRequired, ErrLimitExceeded, ErrUnknownBand.
	ErrBadRequest         Code = "BAD_REQUEST"
	ErrBadGeometry        Code = "BAD_GEOMETRY"
	ErrCRSRequired        Code = "CRS_REQUIRED"
	ErrLimitExceeded      Code = "LIMIT_EXCEEDED"
	ErrUnknownBand        Code = "UNKNOWN_BAND"
	ErrNoData             Code = "NO_DATA"
	ErrCollectionNotFound Code = "COLLECTION_NOT_FOUND"
	ErrRecordNotFound     Code = "RECORD_NOT_FOUND"
	ErrUploadNotFound     Code = "UPLOAD_NOT_FOUND"
	ErrStaleSnapshot      Code = "STALE_SNAPSHOT"
	ErrUnsupportedCodec   Code = "UNSUPPORTED_CODEC"
	ErrUnsupportedLayout  Code = "UNSUPPORTED_LAYOUT"
	ErrUnauthenticated    Code = "UNAUTHENTICATED"
	ErrForbidden          Code = "FORBIDDEN"
	ErrSourceForbidden    Code = "SOURCE_FORBIDDEN"
	ErrSourceNotFound     Code = "SOURCE_NOT_FOUND"
	ErrSourceChanged      Code = "SOURCE_CHANGED"
	ErrSourceCorrupt      Code = "SOURCE_CORRUPT"
	ErrSourceUnavailable  Code = "SOURCE_UNAVAILABLE"
	ErrBusy               Code = "BUSY"
	ErrDraining           Code = "DRAINING"
	ErrDeadline           Code = "DEADLINE"
	ErrCancelled          Code = "CANCELLED"
	ErrInternal           Code = "INTERNAL"

	// ErrUnavailable: no server answers; also stands for ErrBusy and ErrDraining.
	ErrUnavailable Code = "UNAVAILABLE"
	// ErrProtocol: what came back is not what the protocol says, for example from another service.
	ErrProtocol Code = "PROTOCOL"
)

// Error gives the code as text.
func (c Code) Error() string { return string(c) }

// kin are the codes that another one stands for.
var kin = map[Code][]Code{
	ErrBadRequest:  {ErrBadGeometry, ErrCRSRequired, ErrLimitExceeded, ErrUnknownBand},
	ErrUnavailable: {ErrBusy, ErrDraining},
}

// Error is what the service, or the way to it, has to say. Fields that are not known are empty.
type Error struct {
	Code    Code
	Message string
	// Hint is the way out.
	Hint string
	// RequestID is what to quote to the operator of the server.
	RequestID string
	// Collection, Record and Asset are what it is about.
	Collection, Record, Asset string
	// Field of the request at fault, such as "filters[0].date_range".
	Field string
	// Retryable: the same call may succeed later.
	Retryable bool
	// RetryAfter is how long the server asks to wait before that; 0: it does not say.
	RetryAfter time.Duration
}

// Error tells what went wrong and the way out.
func (e *Error) Error() string {
	var about []string
	for _, part := range []string{e.Collection, e.Record, e.Asset} {
		if part != "" && !strings.Contains(e.Message, part) {
			about = append(about, part)
		}
	}
	text := e.Message
	if len(about) > 0 {
		text = strings.Join(about, "/") + ": " + text
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Is tells whether the error has a code, or is of its kin; a deadline is also a [context.DeadlineExceeded], a cancelled call
// a [context.Canceled].
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == ErrDeadline
	case context.Canceled:
		return e.Code == ErrCancelled
	}
	code, ok := target.(Code)
	return ok && (e.Code == code || slices.Contains(kin[code], e.Code))
}

// ErrorOf gives the error of this package for one of gRPC, from a call on [Client.Flight]; url is named where nobody answers.
func ErrorOf(err error, trailer metadata.MD, url string) error { return translate(err, trailer, url) }

// translate finds the error of this package for one of gRPC: by the detail in the trailer, without one by status.
func translate(err error, trailer metadata.MD, url string) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if told := detail(trailer); told != nil {
		return told
	}
	told, isStatus := status.FromError(err)
	if !isStatus {
		told = status.FromContextError(err)
	}
	return fromStatus(told, url)
}

// lost is translate in the middle of a stream: that a server is there has been seen.
func lost(err error, trailer metadata.MD, url string) error {
	told := status.Convert(err)
	if told.Code() != codes.Unavailable || detail(trailer) != nil {
		return translate(err, trailer, url)
	}
	return &Error{
		Code:      ErrUnavailable,
		Message:   fmt.Sprintf("the connection to %s was lost: %s", url, told.Message()),
		Hint:      "read again",
		Retryable: true,
	}
}

func detail(trailer metadata.MD) *Error {
	for _, value := range trailer.Get(errorTrailer) {
		message := new(rasterflightv1.ErrorDetail)
		if proto.Unmarshal([]byte(value), message) == nil && message.Code != "" {
			return &Error{
				Code:       Code(message.Code),
				Message:    message.Message,
				Hint:       message.Hint,
				RequestID:  message.RequestId,
				Collection: message.Collection,
				Record:     message.Record,
				Asset:      message.Asset,
				Field:      message.Field,
				Retryable:  message.Retryable,
				RetryAfter: time.Duration(message.RetryAfter * float64(time.Second)),
			}
		}
	}
	return nil
}

// fromStatus reads answers without a detail: of a proxy on the way, of another service, of no service at all.
func fromStatus(told *status.Status, url string) *Error {
	message := told.Message()
	switch told.Code() {
	case codes.Unavailable:
		hint := "start one with `rasterflight-server serve`"
		if strings.HasPrefix(url, "grpc+tls:") {
			// a server that wants to see a certificate just hangs up
			hint = "if there is one, look at what it shows and wants to see: WithRootCerts, WithClientCertificate"
		}
		return &Error{
			Code:      ErrUnavailable,
			Message:   fmt.Sprintf("no server answers at %s: %s", url, message),
			Hint:      hint,
			Retryable: true,
		}
	case codes.DeadlineExceeded:
		return &Error{
			Code:      ErrDeadline,
			Message:   fmt.Sprintf("no answer from %s within the deadline", url),
			Hint:      "give the context more time, or ask for less",
			Retryable: true,
		}
	case codes.Canceled:
		return &Error{Code: ErrCancelled, Message: "the call was cancelled"}
	case codes.Unauthenticated:
		return &Error{Code: ErrUnauthenticated, Message: message}
	case codes.PermissionDenied:
		return &Error{Code: ErrForbidden, Message: message}
	case codes.ResourceExhausted:
		return &Error{Code: ErrLimitExceeded, Message: message, Hint: "WithMaxMessageSize lets larger messages in"}
	case codes.Internal, codes.Unknown:
		return &Error{Code: ErrInternal, Message: message}
	}
	return protocolError(url, message)
}

func protocolError(url, message string) *Error {
	return &Error{Code: ErrProtocol, Message: fmt.Sprintf("the answer of %s is not as the protocol says: %s", url, message)}
}

// badRequest is an error that is found before anything is asked.
func badRequest(field, format string, arguments ...any) *Error {
	return &Error{Code: ErrBadRequest, Field: field, Message: fmt.Sprintf(format, arguments...)}
}
