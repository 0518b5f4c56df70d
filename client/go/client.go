package rasterflight

import (
	"cmp"
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// Window of HTTP/2 of a stream and of a connection: a batch of rows goes through without a stop.
const streamWindow, connectionWindow = 8 << 20, 16 << 20

// Client is a connection to a server; made by [Connect], safe to share between goroutines.
type Client struct {
	url         string
	connection  *grpc.ClientConn
	flight      flight.Client
	retries     int
	compression Compression
	// reached: a server has answered.
	reached atomic.Bool
}

// Connect connects to a server, and asks whether it is there and takes the token.
//
// The URL is grpc://host:port, grpc+tcp://host:port, grpc+tls://host:port or grpc+unix:///path/to/socket; empty: that in the environment
// variable RASTERFLIGHT_URL, and without it grpc://127.0.0.1:8815. What no option says is taken from RASTERFLIGHT_TOKEN and, for
// encrypted connections, from the files named by RASTERFLIGHT_ROOT_CERTS, RASTERFLIGHT_CLIENT_CERTIFICATE and RASTERFLIGHT_CLIENT_KEY.
//
// Errors are ErrBadRequest for a URL or an option that cannot be used, ErrUnavailable when no server answers (also within the
// deadline of the context), ErrUnauthenticated for a wrong token.
func Connect(ctx context.Context, url string, opts ...Option) (*Client, error) {
	client, err := dial(url, opts)
	if err != nil {
		return nil, err
	}
	if _, err := client.Healthcheck(ctx); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

func dial(url string, opts []Option) (*Client, error) {
	said := defaults()
	for _, option := range opts {
		option(&said)
	}
	at, err := parseAddress(cmp.Or(url, os.Getenv("RASTERFLIGHT_URL"), defaultURL))
	if err != nil {
		return nil, err
	}
	if err := said.fromEnvironment(at.isTLS); err != nil {
		return nil, err
	}
	if said.retries < 0 || said.maxMessage <= 0 {
		return nil, badRequest("options", "retries are %d and messages of %d bytes, expected 0 or more and more than 0",
			said.retries, said.maxMessage)
	}
	if said.isFixed {
		if _, err := said.token.GetRequestMetadata(context.Background()); err != nil {
			return nil, err
		}
	}
	transport, err := said.transport(at)
	if err != nil {
		return nil, err
	}
	dialing := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("rasterflight-go"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(said.maxMessage)),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		// tries are counted here, not there
		grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 20 * time.Second,
		}),
	}
	if said.keepalive > 0 {
		dialing = append(dialing, grpc.WithKeepaliveParams(
			keepalive.ClientParameters{Time: said.keepalive, Timeout: 20 * time.Second}))
	}
	if said.token != nil {
		dialing = append(dialing, grpc.WithPerRPCCredentials(said.token))
	}
	connection, err := grpc.NewClient(at.target, dialing...)
	if err != nil {
		return nil, badRequest("url", "the URL %q cannot be used: %v", at.url, err)
	}
	return &Client{
		url:         at.url,
		connection:  connection,
		flight:      flight.NewClientFromConn(connection, nil),
		retries:     said.retries,
		compression: said.compression,
	}, nil
}

// URL is where the server is.
func (c *Client) URL() string { return c.url }

// Flight is the client of Arrow beneath, for what this one has no words for.
func (c *Client) Flight() flight.Client { return c.flight }

// Close closes the connection; running streams end with it.
func (c *Client) Close() error { return c.connection.Close() }

// Action runs an action of the server, such as "stats" or "collection.refresh", and gives its answer, mostly JSON.
func (c *Client) Action(ctx context.Context, name string, body []byte) ([]byte, error) {
	var answer []byte
	err := c.trying(ctx, func() error {
		stream, err := c.flight.DoAction(ctx, &flight.Action{Type: name, Body: body})
		if err != nil {
			return translate(err, nil, c.url)
		}
		answer = nil
		return drain(stream, c.url, func(result *flight.Result) { answer = append(answer, result.Body...) })
	})
	return answer, err
}

// Healthcheck asks the server how it is, and gives its answer as JSON.
func (c *Client) Healthcheck(ctx context.Context) ([]byte, error) {
	return c.Action(ctx, "healthcheck", nil)
}

// info asks for a FlightInfo.
func (c *Client) info(ctx context.Context, descriptor *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	var info *flight.FlightInfo
	err := c.trying(ctx, func() error {
		var trailer metadata.MD
		var err error
		info, err = c.flight.GetFlightInfo(ctx, descriptor, grpc.Trailer(&trailer))
		return translate(err, trailer, c.url)
	})
	return info, err
}

// drain takes all messages of a stream.
func drain[T any](stream interface {
	Recv() (T, error)
	Trailer() metadata.MD
}, url string, take func(T)) error {
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return translate(err, stream.Trailer(), url)
		}
		take(message)
	}
}
