package vendortest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"time"
)

// listener gives each connection a wire, below TLS and HTTP.
type listener struct {
	net.Listener
	mu    sync.Mutex
	cut   int64 // the next connections end after so many bytes,
	times int   // so many of them
	onCut func()
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: c, left: -1, gone: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times > 0 {
		l.times--
		w.left, w.onCut = l.cut, l.onCut
	}
	return w, nil
}

func (l *listener) cutAfter(n int64, times int, onCut func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.times, l.onCut = n, times, onCut
}

// wire is a TCP connection that can go wrong.
type wire struct {
	net.Conn
	once  sync.Once
	gone  chan struct{} // closed with the connection
	onCut func()

	mu   sync.Mutex
	left int64 // bytes that may still be written before it ends; below 0: any number
	dead bool  // half open: what is written is lost, what comes is not read
}

// Write implements [net.Conn].
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	dead, cut := w.dead, w.left >= 0 && int64(len(b)) >= w.left
	part := b
	if cut {
		part = b[:w.left]
		w.left = 0
	} else if w.left > 0 {
		w.left -= int64(len(b))
	}
	w.mu.Unlock()
	if dead {
		return len(b), nil
	}
	n, err := w.Conn.Write(part)
	if cut {
		w.onCut()
		_ = w.Close()
		return n, io.ErrClosedPipe
	}
	return n, err
}

// Read implements [net.Conn].
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	dead := w.dead
	w.mu.Unlock()
	if dead {
		<-w.gone
		return 0, net.ErrClosed
	}
	return n, err
}

// Close implements [net.Conn].
func (w *wire) Close() error {
	w.once.Do(func() { close(w.gone) })
	return w.Conn.Close()
}

func (w *wire) die() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
}

// under is the wire below a connection of the server.
func under(c net.Conn) *wire {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	w, _ := c.(*wire)
	return w
}

// tlsPair is a certificate for loopback and a client that trusts it.
type tlsPair struct {
	server, client *tls.Config
	pem            []byte
}

func newTLS() (*tlsPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("a certificate's key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "scripted vendor"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	return &tlsPair{
		server: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		client: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		pem:    text.Bytes(),
	}, nil
}

// silent is a log that nobody reads: broken handshakes are what a scripted vendor is for.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
