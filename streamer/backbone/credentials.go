package backbone

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Credentials are what a NATS server knows a client by: exactly one of a token, a user with a
// password, an NKEY, or a JWT with its NKEY.
type Credentials struct {
	Token          string
	User, Password string
	JWT            string
	Seed           string // of an NKEY
}

// ReadCredentials reads a credentials file, which holds one of
//
//	a token, on one line
//	user: NAME and password: SECRET, on two lines
//	the seed of a user's NKEY, on one line (SU…)
//	what nsc and the nats tool write as .creds: a user's JWT and its NKEY
//
// Its errors name the file and never quote it.
func ReadCredentials(file string) (Credentials, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials: %w", err)
	}
	c, err := parseCredentials(string(data))
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials %s: %w", file, err)
	}
	return c, nil
}

// CheckCredentials says what is wrong with the content of a credentials file, and never quotes it.
func CheckCredentials(content []byte) error {
	_, err := parseCredentials(string(content))
	return err
}

func parseCredentials(text string) (c Credentials, err error) {
	text = strings.TrimSpace(text)
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	user, isUser := strings.CutPrefix(text, "user:")
	switch {
	case text == "":
		return c, fmt.Errorf("it is empty: want a token, user and password, an NKEY or a JWT")
	case strings.Contains(text, "-----BEGIN NATS USER JWT"):
		if c.JWT, err = jwt.ParseDecoratedJWT([]byte(text)); err != nil {
			return c, fmt.Errorf("its JWT cannot be read: %w", err)
		}
		pair, err := jwt.ParseDecoratedNKey([]byte(text))
		if err != nil {
			return c, fmt.Errorf("the NKEY beside its JWT cannot be read: %w", err)
		}
		seed, err := pair.Seed()
		if err != nil {
			return c, fmt.Errorf("the NKEY beside its JWT cannot be read: %w", err)
		}
		c.Seed = string(seed)
		return c, nil
	case isUser:
		name, password, ok := strings.Cut(strings.TrimSpace(user), "\n")
		password, labelled := strings.CutPrefix(strings.TrimSpace(password), "password:")
		c.User, c.Password = strings.TrimSpace(name), strings.TrimSpace(password)
		if !ok || !labelled || c.User == "" || c.Password == "" {
			return c, fmt.Errorf("it begins with a user: want \"user: NAME\" and \"password: SECRET\" on two lines")
		}
		return c, nil
	case len(lines) > 1 || strings.ContainsAny(text, " \t"):
		return c, fmt.Errorf("it has %d lines, or spaces: want a token on one, or user: and password:, an NKEY or a JWT", len(lines))
	}
	if pair, err := nkeys.FromSeed([]byte(text)); err == nil {
		if public, err := pair.PublicKey(); err == nil && nkeys.IsValidPublicUserKey(public) {
			c.Seed = text
			return c, nil
		}
	}
	c.Token = text
	return c, nil
}

// credentials give one client what the file holds at each connect. A file that cannot be read
// leaves what was read last. From an NKEY to another kind, or back, it takes a new client.
type credentials struct {
	file string
	log  logr.Logger
	nc   atomic.Pointer[nats.Conn] // set once it is connected

	mu   sync.Mutex
	last Credentials
}

func newCredentials(file string, log logr.Logger) (*credentials, error) {
	c := &credentials{file: file, log: log}
	var err error
	c.last, err = ReadCredentials(file)
	return c, err
}

// again reads the file.
func (c *credentials) again() Credentials {
	now, err := ReadCredentials(c.file)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.log.Info("the credentials stay as they were", "reason", err.Error())
		return c.last
	}
	c.last = now
	return now
}

func (c *credentials) options() []nats.Option {
	if c.last.Seed != "" && c.last.JWT == "" {
		return []nats.Option{c.nkey}
	}
	return []nats.Option{
		nats.TokenHandler(func() string { return c.again().Token }),
		nats.UserInfoHandler(func() (string, string) {
			now := c.again()
			return now.User, now.Password
		}),
		nats.UserJWT(func() (string, error) { return c.again().JWT, nil }, c.sign),
	}
}

// nkey has the client sign with what the file holds.
func (c *credentials) nkey(o *nats.Options) error {
	public, err := publicKey(c.last.Seed)
	if err != nil {
		return err
	}
	return nats.Nkey(public, c.sign)(o)
}

func (c *credentials) sign(nonce []byte) ([]byte, error) {
	seed := c.again().Seed
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, fmt.Errorf("credentials %s: its NKEY cannot be read", c.file)
	}
	defer pair.Wipe()
	// The client has taken the public key of this attempt from its options, and holds its lock
	// around this call: another key is used in the next attempt.
	if nc := c.nc.Load(); nc != nil && nc.Opts.Nkey != "" {
		if nc.Opts.Nkey, err = pair.PublicKey(); err != nil {
			return nil, err
		}
	}
	return pair.Sign(nonce)
}

func publicKey(seed string) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	return pair.PublicKey()
}
