package rasterflight

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// transport makes what encrypts a connection.
func (o *options) transport(at address) (credentials.TransportCredentials, error) {
	if !at.isTLS {
		if o.rootCerts != nil || o.certificate != nil || o.tls != nil {
			return nil, badRequest("url", "certificates are given, and %s is not encrypted: use grpc+tls://", at.url)
		}
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.tls != nil {
		config = o.tls.Clone()
	}
	if o.rootCerts != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.rootCerts) {
			return nil, badRequest("root_certs", "the root certificates hold no certificate in PEM that can be read")
		}
	}
	if o.certificate != nil || o.key != nil {
		pair, err := tls.X509KeyPair(o.certificate, o.key)
		if err != nil {
			return nil, badRequest("client_certificate", "client certificate and key cannot be used: %v", err)
		}
		config.Certificates = append(config.Certificates, pair)
	}
	return credentials.NewTLS(config), nil
}

// bearer sends a token with every call.
type bearer func(context.Context) (string, error)

func (source bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := source(ctx)
	if err != nil {
		return nil, err
	}
	if !isPrintable(token) {
		// not shown: an error must not carry the token into a log
		return nil, &Error{
			Code: ErrUnauthenticated, Message: "the token is empty, or has characters that a header cannot carry",
		}
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity is false: on loopback and unix sockets nobody listens.
func (bearer) RequireTransportSecurity() bool { return false }

func isPrintable(token string) bool {
	for _, char := range []byte(token) {
		if char <= ' ' || char > '~' {
			return false
		}
	}
	return token != ""
}
