package wire

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

// Listener gives each connection a wire, below TLS and HTTP.
type Listener struct {
	net.Listener
	mu    sync.Mutex
	cut   int64 // the next connections end after so many bytes,
	times int   // so many of them
	onCut func()
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &Wire{Conn: c, left: -1, gone: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times > 0 {
		l.times--
		w.left, w.onCut = l.cut, l.onCut
	}
	return w, nil
}

// CutAfter ends the next connections, so many of them, after n bytes, and tells onCut.
func (l *Listener) CutAfter(n int64, times int, onCut func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.times, l.onCut = n, times, onCut
}

// Cuts is what CutAfter asked for and is still to come.
func (l *Listener) Cuts() (n int64, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut, l.times
}

// Wire is a TCP connection that can go wrong.
type Wire struct {
	net.Conn
	once  sync.Once
	gone  chan struct{} // closed with the connection
	onCut func()

	mu   sync.Mutex
	left int64 // bytes that may still be written before it ends; below 0: any number
	dead bool  // half open: what is written is lost, what comes is not read
}

// Write implements [net.Conn].
func (w *Wire) Write(b []byte) (int, error) {
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
func (w *Wire) Read(b []byte) (int, error) {
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
func (w *Wire) Close() error {
	w.once.Do(func() { close(w.gone) })
	return w.Conn.Close()
}

// Die makes it half open.
func (w *Wire) Die() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
}

// Under is the wire below a connection of the server.
func Under(c net.Conn) *Wire {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	w, _ := c.(*Wire)
	return w
}

// Pair is a certificate for loopback and a client that trusts it.
type Pair struct {
	Server, Client *tls.Config
	PEM            []byte
}

// NewPair makes one.
func NewPair() (*Pair, error) {
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
	return &Pair{
		Server: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Client: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		PEM:    text.Bytes(),
	}, nil
}

// Silent is a log that nobody reads: broken handshakes are what a scripted vendor is for.
func Silent() *log.Logger { return log.New(io.Discard, "", 0) }
