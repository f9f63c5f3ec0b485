package backbone

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	minMajor, minMinor = 2, 11
	// headerNeed is the most that we put beside the data of a message.
	headerNeed = 256
	// minConsumers: each pod reads through some, and all at once when it starts.
	minConsumers = 64
)

// nodesStream is what the nodes of our own backbone know together: see phase.
const nodesStream = "NODES"

// nodes is what our own backbone says of itself.
type nodes struct {
	replicas              int
	barsBytes, ticksBytes int64 // that it has room for; 0: not said
}

const (
	barsBytesKey  = "marketstream.dev/bars-bytes"
	ticksBytesKey = "marketstream.dev/ticks-bytes"
)

// nodesOf asks our own backbone; a server that does not say anything is taken for one node.
func nodesOf(ctx context.Context, js jetstream.JetStream) (nodes, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := js.Stream(ctx, nodesStream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nodes{replicas: 1}, nil
	case err != nil:
		return nodes{}, fmt.Errorf("ask for %s: %w", nodesStream, unavailable(err))
	}
	c := s.CachedInfo().Config
	n := nodes{replicas: max(c.Replicas, 1)}
	n.barsBytes, _ = strconv.ParseInt(c.Metadata[barsBytesKey], 10, 64)
	n.ticksBytes, _ = strconv.ParseInt(c.Metadata[ticksBytesKey], 10, 64)
	return n, nil
}

// fit brings the settings of a stream in line with what there is.
func (n nodes) fit(c *jetstream.StreamConfig, replicas int) {
	if c.Replicas = replicas; replicas == 0 {
		c.Replicas = max(n.replicas, 1)
	}
	most := n.ticksBytes
	if kindOf(c) == "BARS" {
		most = n.barsBytes
	}
	if most > 0 && kindOf(c) != "CTL" {
		c.MaxBytes = min(c.MaxBytes, most)
	}
}

// checkServer checks what every server must have.
func (r *remote) checkServer(ctx context.Context, c *conn) error {
	version := c.nc.ConnectedServerVersion()
	if old, err := olderThan(version, minMajor, minMinor); err != nil || old {
		return unfit("it is version %s: at least %d.%d is wanted, since older ones no longer get the mends to replicated streams that an acknowledged frame relies on",
			version, minMajor, minMinor)
	}
	if has, want := c.nc.MaxPayload(), r.MaxMessage+headerNeed; has < want {
		return unfit("its max_payload is %d bytes: at least %d are wanted (the longest message of this stream, %d, and its header)", has, want, r.MaxMessage)
	}
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := c.js.AccountInfo(asking)
	off := errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
	switch {
	case err == nil:
		r.offAt = time.Time{}
		return nil
	case c.denied.Load() != nil:
		return unfit("the account may not ask for JetStream: %v: allow publishing to $JS.API.> and subscribing to _INBOX.>", *c.denied.Load())
	case !off || r.Streams == OwnStreams:
	case r.offAt.IsZero():
		r.offAt = time.Now()
	case time.Since(r.offAt) > offFor && errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return unfit("JetStream is not enabled for this account: enable it, with room for the streams")
	case time.Since(r.offAt) > offFor:
		return unfit("JetStream is not enabled: enable it with a store directory")
	}
	return fmt.Errorf("ask for JetStream: %w", unavailable(err))
}

func olderThan(version string, major, minor int) (bool, error) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false, fmt.Errorf("version %q", version)
	}
	a, err := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return a < major || a == major && b < minor, errors.Join(err, err2)
}

// checkAccount checks that the streams fit into what the account may have: what an account
// refuses when it is full no stream makes room for.
func (r *remote) checkAccount(ctx context.Context, b *Backbone) error {
	var file, memory room
	tier := ""
	for _, c := range []*conn{b.barsConn, b.ticksConn, b.ctlConn} {
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		s, err := c.js.Stream(asking, c.config.Name)
		cancel()
		if err != nil {
			return fmt.Errorf("ask for %s: %w", c.config.Name, c.gone(err))
		}
		config := s.CachedInfo().Config
		if tier = fmt.Sprintf("R%d", max(config.Replicas, 1)); config.Storage == jetstream.FileStorage {
			file.add(config)
		} else {
			memory.add(config)
		}
	}
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	info, err := b.barsConn.js.AccountInfo(asking)
	if err != nil {
		return fmt.Errorf("ask for the account: %w", unavailable(err))
	}
	limits, flat := info.Limits, true
	if t, ok := info.Tiers[tier]; ok {
		limits, flat = t.Limits, false
	}
	if n := limits.MaxConsumers; n > 0 && n < minConsumers {
		return unfit("the account may have %d consumers: at least %d are wanted, or no limit", n, minConsumers)
	}
	if err := file.check("storage", limits.MaxStore, flat); err != nil {
		return err
	}
	return memory.check("memory", limits.MaxMemory, flat)
}

// room is what streams may come to hold.
type room struct {
	streams         []string
	bytes, replicas int64
	unbound         string // a stream without a bound
}

func (r *room) add(c jetstream.StreamConfig) {
	r.streams = append(r.streams, c.Name)
	n := int64(max(c.Replicas, 1))
	if c.MaxBytes <= 0 {
		r.unbound = c.Name
	}
	r.bytes += max(c.MaxBytes, 0)
	r.replicas += max(c.MaxBytes, 0) * n
}

// check compares the room with a limit of the account; -1: none. A flat limit counts every replica.
func (r *room) check(kind string, limit int64, flat bool) error {
	need := r.bytes
	if flat {
		need = r.replicas
	}
	switch {
	case limit < 0 || len(r.streams) == 0:
		return nil
	case r.unbound != "":
		return unfit("the account may have %d bytes of %s and stream %s has no max_bytes: give it one, so that its oldest entries go before the account is full",
			limit, kind, r.unbound)
	case need > limit:
		return unfit("the account may have %d bytes of %s and %s may come to %d: raise the limit or lower their max_bytes",
			limit, kind, strings.Join(r.streams, ", "), need)
	}
	return nil
}
