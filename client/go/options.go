package rasterflight

import (
	"context"
	"crypto/tls"
	"time"
)

const (
	defaultRetries = 5
	// Record batches are of 8 MiB at the most; records with many columns, and servers to come, may take more.
	defaultMaxMessage = 64 << 20
)

// Option changes how a client connects; see [Connect].
type Option func(*options)

type options struct {
	token bearer
	// isFixed: the token does not change.
	isFixed          bool
	rootCerts        []byte
	certificate, key []byte
	tls              *tls.Config
	retries          int
	maxMessage       int
	compression      Compression
	keepalive        time.Duration
}

func defaults() options {
	// Servers take offence at more than a question in five minutes.
	return options{retries: defaultRetries, maxMessage: defaultMaxMessage, keepalive: 310 * time.Second}
}

// WithToken sends a token with every call ("authorization: Bearer"); use grpc+tls:// where others can listen.
func WithToken(token string) Option {
	return func(o *options) {
		o.token, o.isFixed = func(context.Context) (string, error) { return token, nil }, true
	}
}

// WithTokenSource asks for the token before every call, so that it may be renewed.
func WithTokenSource(source func(context.Context) (string, error)) Option {
	return func(o *options) { o.token, o.isFixed = source, false }
}

// WithRootCerts trusts the authorities in a PEM file that was read, instead of those of the system.
func WithRootCerts(pem []byte) Option {
	return func(o *options) { o.rootCerts = pem }
}

// WithClientCertificate shows a certificate to the server; both are PEM.
func WithClientCertificate(certificate, key []byte) Option {
	return func(o *options) { o.certificate, o.key = certificate, key }
}

// WithTLSConfig says all about encrypted connections that the other options do not.
func WithTLSConfig(config *tls.Config) Option {
	return func(o *options) { o.tls = config }
}

// WithRetries says how often a call is tried again when the server is busy, shuts down or cannot be reached any more; 5 unless
// said; tries are counted anew with each answer. A read that breaks off goes on at the next row. 0: nothing is tried again.
func WithRetries(most int) Option {
	return func(o *options) { o.retries = most }
}

// WithMaxMessageSize refuses messages of more bytes than this; 64 MiB unless said.
func WithMaxMessageSize(bytes int) Option {
	return func(o *options) { o.maxMessage = bytes }
}

// WithCompression says how rows travel, unless a request says it.
func WithCompression(compression Compression) Option {
	return func(o *options) { o.compression = compression }
}

// WithKeepalive asks a silent server whether it is still there after so much time; 310 seconds unless said, since servers take
// offence at more than a question in five minutes. 0: never.
func WithKeepalive(after time.Duration) Option {
	return func(o *options) { o.keepalive = after }
}
