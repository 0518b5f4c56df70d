package rasterflight

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestURLsThatCannotBeUsed(t *testing.T) {
	for url, words := range map[string]string{
		"http://host:1":          `the scheme "http", expected one of: grpc://`,
		"grpc://host":            "lacks host or port: expected grpc://host:port",
		"grpc+tls://:8815":       "lacks host or port: expected grpc+tls://host:port",
		"grpc+unix://":           "names no socket",
		"grpc://me:secret@h:815": "carries credentials: pass them by WithToken",
		"grpc://[::1":            "the URL cannot be read",
	} {
		_, err := Connect(context.Background(), url)
		if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for url, want := range map[string]address{
		"grpc://h:1":         {"grpc://h:1", "dns:///h:1", false},
		"grpc+tcp://[::1]:1": {"grpc+tcp://[::1]:1", "dns:///[::1]:1", false},
		"grpc+tls://h:1":     {"grpc+tls://h:1", "dns:///h:1", true},
		"grpc+unix:///a/b":   {"grpc+unix:///a/b", "unix:///a/b", false},
	} {
		if got, err := parseAddress(url); got != want || err != nil {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	const plain, encrypted, missing = "grpc://127.0.0.1:1", "grpc+tls://127.0.0.1:1", "/there/is/none.pem"
	for _, one := range []struct {
		words, url, variable string
		option               Option
	}{
		{"not encrypted: use grpc+tls://", plain, "", WithRootCerts([]byte("x"))},
		{"expected 0 or more", plain, "", WithRetries(-1)},
		{"no certificate in PEM", encrypted, "", WithRootCerts([]byte("x"))},
		{"certificate and key cannot be used", encrypted, "", WithClientCertificate([]byte("x"), nil)},
		{"RASTERFLIGHT_ROOT_CERTS: open " + missing, encrypted, missing, WithRetries(0)},
	} {
		t.Setenv("RASTERFLIGHT_ROOT_CERTS", one.variable)
		if _, err := Connect(context.Background(), one.url, one.option); err == nil || !strings.Contains(err.Error(), one.words) {
			t.Errorf("%s: %v", one.words, err)
		}
	}
	_, err := Connect(context.Background(), plain, WithToken("sec\nret"))
	if !errors.Is(err, ErrUnauthenticated) || strings.Contains(err.Error(), "ret") {
		t.Errorf("a token that cannot be sent: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "grpc://" + listener.Addr().String()
	_ = listener.Close()
	start := time.Now()
	_, err = Connect(context.Background(), url)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no server answers at "+url) {
		t.Error(err)
	}
	if waited := time.Since(start); waited > 10*time.Second {
		t.Errorf("waited %s for a server that never was", waited)
	}
}
