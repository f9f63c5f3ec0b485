// Package pki makes the certificates of a cluster, as files: NAME.crt and NAME.key in a directory. What is there is kept.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lasts is how long a certificate does: a cluster on one machine is made anew sooner.
const lasts = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New gives the authority of a directory, ca.crt and ca.key, and makes it if there is none.
func New(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &Authority{dir: dir}
	if !a.Has("ca") {
		self := template("marketstream-cluster")
		self.IsCA, self.BasicConstraintsValid = true, true
		self.KeyUsage |= x509.KeyUsageCertSign
		if err := a.make("ca", self); err != nil {
			return nil, err
		}
	}
	certPEM, err := os.ReadFile(a.Cert("ca"))
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(a.Key("ca"))
	if err != nil {
		return nil, err
	}
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, fmt.Errorf("%s: no PEM", dir)
	}
	if a.cert, err = x509.ParseCertificate(c.Bytes); err != nil {
		return nil, err
	}
	a.key, err = x509.ParseECPrivateKey(k.Bytes)
	return a, err
}

// Cert is the path of a certificate.
func (a *Authority) Cert(name string) string { return filepath.Join(a.dir, name+".crt") }

// Key is the path of its key.
func (a *Authority) Key(name string) string { return filepath.Join(a.dir, name+".key") }

// Has reports whether a certificate is there. It is written after its key.
func (a *Authority) Has(name string) bool {
	_, err := os.Stat(a.Cert(name))
	return err == nil
}

// Client makes the certificate of a user with groups.
func (a *Authority) Client(name, user string, groups ...string) error {
	if a.Has(name) {
		return nil
	}
	t := template(user)
	t.Subject.Organization = groups
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.make(name, t)
}

// Server makes the certificate of a server that is reached by names and addresses.
func (a *Authority) Server(name string, hosts ...string) error {
	if a.Has(name) {
		return nil
	}
	t := template(hosts[0])
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return a.make(name, t)
}

// Pair makes a key, and its public half as NAME.pub: service accounts' tokens are signed with one.
func (a *Authority) Pair(name string) error {
	pub := filepath.Join(a.dir, name+".pub")
	if _, err := os.Stat(pub); err == nil {
		return nil
	}
	key, err := a.newKey(name)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return write(pub, "PUBLIC KEY", der)
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(lasts),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
}

// make signs a certificate, by itself if there is no authority yet.
func (a *Authority) make(name string, t *x509.Certificate) error {
	key, err := a.newKey(name)
	if err != nil {
		return err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
		return err
	}
	by, with := a.cert, a.key
	if by == nil {
		by, with = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, by, key.Public(), with)
	if err != nil {
		return err
	}
	return write(a.Cert(name), "CERTIFICATE", der)
}

func (a *Authority) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, write(a.Key(name), "EC PRIVATE KEY", der)
}

// write makes a file whole or not at all.
func write(path, kind string, der []byte) error {
	part := path + ".part"
	err := os.WriteFile(part, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	return errors.Join(err, os.Rename(part, path))
}
