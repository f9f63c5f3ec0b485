package backbone

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// nodeTLS gives a node's certificate to clients and other nodes, as its files have it.
type nodeTLS struct {
	cert, key string
	log       logr.Logger
	pool      *x509.CertPool // nil: the system's

	mu     sync.Mutex
	read   time.Time // of the certificate's file, when it was read
	loaded *tls.Certificate
}

func newNodeTLS(cert, key, ca string, log logr.Logger) (*nodeTLS, error) {
	t := &nodeTLS{cert: cert, key: key, log: log}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust: %w", err)
		}
		if t.pool = x509.NewCertPool(); !t.pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates to trust: %s holds none in PEM form", ca)
		}
	}
	_, err := t.certificate()
	return t, err
}

// certificate returns what the files hold; what was read last if they cannot be read.
func (t *nodeTLS) certificate() (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.cert)
	if err == nil && t.loaded != nil && info.ModTime().Equal(t.read) {
		return t.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(t.cert, t.key)
	}
	if err == nil {
		t.loaded, t.read = &pair, info.ModTime()
	} else if t.loaded == nil {
		return nil, fmt.Errorf("certificate %s: %w", t.cert, err)
	} else {
		t.log.Info("the certificate stays as it was", "file", t.cert, "reason", err.Error())
	}
	return t.loaded, nil
}

func (t *nodeTLS) forClients() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.certificate() }}
}

// forNodes is for both ends of a route: each shows its certificate.
func (t *nodeTLS) forNodes() *tls.Config {
	c := t.forClients()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate() }
	c.RootCAs, c.ClientCAs = t.pool, t.pool
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c
}
