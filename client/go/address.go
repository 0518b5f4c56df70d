package rasterflight

import (
	"fmt"
	"net/url"
	"os"
)

const defaultURL = "grpc://127.0.0.1:8815"

// address is where a server is.
type address struct {
	url string
	// target is what gRPC calls it.
	target string
	isTLS  bool
}

func parseAddress(text string) (address, error) {
	parts, err := url.Parse(text)
	if err != nil {
		return address{}, badRequest("url", "the URL cannot be read: %v", err)
	}
	switch parts.Scheme {
	case "grpc", "grpc+tcp", "grpc+tls", "grpc+unix":
	default:
		return address{}, badRequest(
			"url", "the URL has the scheme %q, expected one of: grpc://, grpc+tcp://, grpc+tls://, grpc+unix://", parts.Scheme)
	}
	if parts.User != nil {
		return address{}, badRequest("url", "the URL carries credentials: pass them by WithToken")
	}
	if parts.Scheme == "grpc+unix" {
		if parts.Path == "" {
			return address{}, badRequest("url", "the URL %q names no socket: expected grpc+unix:///path/to/socket", text)
		}
		return address{url: text, target: "unix://" + parts.Path}, nil
	}
	if parts.Hostname() == "" || parts.Port() == "" {
		return address{}, badRequest("url", "the URL %q lacks host or port: expected %s://host:port", text, parts.Scheme)
	}
	return address{url: text, target: "dns:///" + parts.Host, isTLS: parts.Scheme == "grpc+tls"}, nil
}

// fromEnvironment adds what was not said, as the environment has it.
func (o *options) fromEnvironment(isTLS bool) error {
	if token := os.Getenv("RASTERFLIGHT_TOKEN"); o.token == nil && token != "" {
		WithToken(token)(o)
	}
	if !isTLS || o.tls != nil {
		return nil
	}
	files := []struct {
		variable string
		content  *[]byte
	}{
		{"RASTERFLIGHT_ROOT_CERTS", &o.rootCerts},
		{"RASTERFLIGHT_CLIENT_CERTIFICATE", &o.certificate},
		{"RASTERFLIGHT_CLIENT_KEY", &o.key},
	}
	for _, file := range files {
		path := os.Getenv(file.variable)
		if *file.content != nil || path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", file.variable, err)
		}
		*file.content = content
	}
	return nil
}
