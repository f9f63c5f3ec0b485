package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
)

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	a, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		a.Server("api", "api.example.test", "10.96.0.1"), a.Client("admin", "admin", "system:masters"), a.Pair("sa"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(a.Cert("ca"))
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no CA: ", err)
	}
	for name, opts := range map[string]x509.VerifyOptions{
		"api":   {Roots: pool, DNSName: "10.96.0.1"},
		"admin": {Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		pair, err := tls.LoadX509KeyPair(a.Cert(name), a.Key(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pair.Leaf.Verify(opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "admin" && (pair.Leaf.Subject.CommonName != "admin" || pair.Leaf.Subject.Organization[0] != "system:masters") {
			t.Errorf("subject %v", pair.Leaf.Subject)
		}
	}
	// A second start keeps what is there, and signs with the same authority.
	before, _ := os.ReadFile(a.Cert("api"))
	again, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Server("api", "other"); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(a.Cert("api")); string(after) != string(before) || !again.cert.Equal(a.cert) {
		t.Error("what was there was made anew")
	}
}
