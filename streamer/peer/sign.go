package peer

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	headerTime      = "X-Marketstream-Time"
	headerNonce     = "X-Marketstream-Nonce"
	headerSignature = "X-Marketstream-Signature"
	// window is how far the clocks of two pods may be apart.
	window = 30 * time.Second
	// lookEvery is how often the credentials file is read at most.
	lookEvery = time.Second
	// mostNonces bounds the nonces that are remembered of one window.
	mostNonces = 1 << 16
)

// ErrSignature is wrapped by what is wrong with a request's signature.
var ErrSignature = errors.New("not signed by a pod of this stream")

type key [sha256.Size]byte

// Keys are what requests are signed with: made from the backbone's credentials file, the
// newest first. Their methods may be called at the same time.
type Keys struct {
	file string
	now  func() time.Time

	mu     sync.Mutex
	looked time.Time
	keys   []key // at most two
	// nonces of this window and of the one before.
	nonces, before map[string]struct{}
	turned         time.Time
}

// NewKeys returns the keys of a credentials file; "": there is none, and whoever reaches the
// backbone may read the rings as well. A file that cannot be read later leaves what was read last.
func NewKeys(file string) (*Keys, error) {
	k := &Keys{file: file, now: time.Now, nonces: map[string]struct{}{}}
	made, err := k.read()
	if err != nil {
		return nil, fmt.Errorf("the key for reads among pods: %w", err)
	}
	k.keys, k.looked = []key{made}, k.now()
	return k, nil
}

func (k *Keys) read() (made key, err error) {
	var secret []byte
	if k.file != "" {
		if secret, err = os.ReadFile(k.file); err != nil {
			return made, err
		}
	}
	sum := sha256.Sum256(bytes.TrimSpace(secret))
	m := hmac.New(sha256.New, sum[:])
	m.Write([]byte("marketstream rings 1"))
	return key(m.Sum(nil)), nil
}

// all returns the keys, the newest first, after a look at the file.
func (k *Keys) all() []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); now.Sub(k.looked) >= lookEvery {
		k.looked = now
		if made, err := k.read(); err == nil && made != k.keys[0] {
			k.keys = []key{made, k.keys[0]}
		}
	}
	return k.keys
}

// sum is the signature of a request.
func (k *key) sum(method, path, at, nonce string, body []byte) []byte {
	hash := sha256.Sum256(body)
	m := hmac.New(sha256.New, k[:])
	_, _ = fmt.Fprintf(m, "%s\n%s\n%s\n%s\n%x", method, path, at, nonce, hash) // never fails
	return m.Sum(nil)
}

// seal is what stands at the end of an answer to the request with a signature.
func (k *key) seal(signature, body []byte) []byte {
	m := hmac.New(sha256.New, k[:])
	m.Write(signature)
	m.Write(body)
	return m.Sum(nil)
}

// sign signs a request and returns its signature.
func (k *key) sign(r *http.Request, now time.Time, body []byte) (signature []byte) {
	var n [16]byte
	_, _ = rand.Read(n[:]) // never fails: crypto/rand says so
	at, nonce := strconv.FormatInt(now.UnixMilli(), 10), hex.EncodeToString(n[:])
	signature = k.sum(r.Method, r.URL.Path, at, nonce, body)
	r.Header.Set(headerTime, at)
	r.Header.Set(headerNonce, nonce)
	r.Header.Set(headerSignature, hex.EncodeToString(signature))
	return signature
}

// verify returns the key that a request was signed with and its signature.
func (k *Keys) verify(r *http.Request, body []byte) (by *key, signature []byte, err error) {
	at, nonce := r.Header.Get(headerTime), r.Header.Get(headerNonce)
	ms, err := strconv.ParseInt(at, 10, 64)
	if d := k.now().Sub(time.UnixMilli(ms)); err != nil || d > window || d < -window {
		return nil, nil, fmt.Errorf("%s: %.32q: want the time in Unix ms, at most %s away: %w", headerTime, at, window, ErrSignature)
	}
	if len(nonce) != 32 {
		return nil, nil, fmt.Errorf("%s: %.40q: want 32 hex digits: %w", headerNonce, nonce, ErrSignature)
	}
	signature, err = hex.DecodeString(r.Header.Get(headerSignature))
	if err != nil || len(signature) != sha256.Size {
		return nil, nil, fmt.Errorf("%s: want 64 hex digits: %w", headerSignature, ErrSignature)
	}
	keys := k.all()
	for i := range keys {
		if hmac.Equal(signature, keys[i].sum(r.Method, r.URL.Path, at, nonce, body)) {
			return &keys[i], signature, k.once(nonce)
		}
	}
	return nil, nil, fmt.Errorf("%s: it is none of this request by the backbone's credential: %w", headerSignature, ErrSignature)
}

// once refuses a nonce that was there before. A request that old is refused for its time.
func (k *Keys) once(nonce string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); now.Sub(k.turned) > 2*window {
		k.nonces, k.before, k.turned = make(map[string]struct{}), k.nonces, now
	}
	_, now := k.nonces[nonce]
	_, before := k.before[nonce]
	switch {
	case now || before:
		return fmt.Errorf("%s: %s was there before: %w", headerNonce, nonce, ErrSignature)
	case len(k.nonces) >= mostNonces:
		return fmt.Errorf("more than %d requests in %s: %w", mostNonces, 2*window, errBusy)
	}
	k.nonces[nonce] = struct{}{}
	return nil
}
