package peer

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// connectWithin and answerWithin bound one request: to connect, and in all.
	connectWithin = time.Second
	answerWithin  = 5 * time.Second
	// beginWithin is how long the first byte of an answer may take: what the pod waits for the
	// position, and some.
	beginWithin = appliedWithin + time.Second
	// aloneFor is how long a pod is not asked that did not answer.
	aloneFor = 3 * time.Second
	// connections to one pod, and how long they are kept.
	connections = 4
	idleFor     = 30 * time.Second
)

// ErrNoAnswer is wrapped by the errors of [Client.Ask] when the pod was not reached, or is left alone
// because it was not a moment ago.
var ErrNoAnswer = errors.New("the pod does not answer")

// Client asks other pods. Its methods may be called at the same time.
type Client struct {
	keys *Keys
	http *http.Client

	mu    sync.Mutex
	until map[string]time.Time // by address: who is left alone
}

// NewClient returns a client that signs with keys.
func NewClient(keys *Keys) *Client {
	return &Client{keys: keys, until: make(map[string]time.Time), http: &http.Client{
		Timeout:       answerWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: connectWithin}).DialContext,
			MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, MaxIdleConns: 64, IdleConnTimeout: idleFor,
			ResponseHeaderTimeout: beginWithin, DisableCompression: true}}}
}

// Close gives up connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ask asks the pod whose internal port is at address, and returns up to where that had applied BARS when it read its
// rings. The answers are the caller's, and share memory among them.
func (c *Client) Ask(ctx context.Context, address string, q *Request) (applied uint64, out []Answer, err error) {
	if !c.reachable(address) {
		return 0, nil, fmt.Errorf("%s is left alone for a moment: %w", address, ErrNoAnswer)
	}
	body := q.append(nil)
	if len(body) > maxBody || len(q.Asks) > MaxAsks {
		return 0, nil, fmt.Errorf("%d asks of %d bytes: want at most %d of %d", len(q.Asks), len(body), MaxAsks, maxBody)
	}
	keys := c.keys.all()
	for i := range keys {
		var code int
		code, applied, out, err = c.once(ctx, address, &keys[i], body, q.Asks)
		if code != http.StatusUnauthorized {
			break // else the pod may not have read the newest credential yet
		}
	}
	if errors.Is(err, ErrNoAnswer) && ctx.Err() == nil {
		c.leave(address)
	}
	return applied, out, err
}

func (c *Client) once(ctx context.Context, address string, by *key, body []byte, asks []Ask) (code int, applied uint64, out []Answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+Path, bytes.NewReader(body))
	if err != nil {
		return 0, 0, nil, fmt.Errorf("address %q: want host:port: %w", address, err)
	}
	signature := by.sign(r, c.keys.now(), body)
	res, err := c.http.Do(r)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("asking %s: %w: %w", address, ErrNoAnswer, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 512))
		return res.StatusCode, 0, nil, fmt.Errorf("asking %s: %s: %s", address, res.Status, bytes.TrimSpace(text))
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return res.StatusCode, 0, nil, fmt.Errorf("asking %s: %w: %w", address, ErrNoAnswer, err)
	case len(data) > maxAnswer:
		return res.StatusCode, 0, nil, fmt.Errorf("asking %s: the answer has more than %d bytes", address, maxAnswer)
	case len(data) < sha256.Size:
		return res.StatusCode, 0, nil, fmt.Errorf("asking %s: the answer has %d bytes and no seal", address, len(data))
	}
	data, seal := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if !hmac.Equal(seal, by.seal(signature, data)) {
		return res.StatusCode, 0, nil, fmt.Errorf("asking %s: the answer's seal is not of a pod of this stream", address)
	}
	applied, out, err = decodeAnswers(data, asks)
	if err != nil {
		return res.StatusCode, 0, nil, fmt.Errorf("asking %s: %w", address, err)
	}
	return res.StatusCode, applied, out, nil
}

// reachable is false for a pod that did not answer a moment ago.
func (c *Client) reachable(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().After(c.until[address])
}

// leave leaves a pod alone for a moment, and forgets those whose moment is over.
func (c *Client) leave(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for a, t := range c.until {
		if now.After(t) {
			delete(c.until, a)
		}
	}
	c.until[address] = now.Add(aloneFor)
}
