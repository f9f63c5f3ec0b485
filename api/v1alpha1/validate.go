package v1alpha1

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	namePattern   = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	symbolPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/^=+-]*$`)
	originPattern = regexp.MustCompile(`^https?://[^/@?#]+$`)
	wsPattern     = regexp.MustCompile(`^wss?://[^@]+$`)
	httpPattern   = regexp.MustCompile(`^https?://[^@]+$`)
	httpsPattern  = regexp.MustCompile(`^https://[^@]+$`)
	natsPattern   = regexp.MustCompile(`^(nats|tls)://[^@]+$`)
	lengthPattern = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)
	prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	speedPattern  = regexp.MustCompile(`^(Max|[0-9]+(\.[0-9]+)?)$`)
)

// check gathers what is wrong.
//
// +kubebuilder:object:generate=false
type check struct{ errs field.ErrorList }

// Validate checks what the schema and its rules check in a cluster: each error names the
// field, the value and what would be right.
func Validate(m *MarketStream) field.ErrorList {
	c := &check{}
	if !namePattern.MatchString(m.Name) || len(m.Name) > 40 {
		c.invalid(field.NewPath("metadata", "name"), m.Name, "want a DNS label of at most 40 characters that begins with a letter")
	}
	if m.Namespace != "" && (!namePattern.MatchString(m.Namespace) && !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`).MatchString(m.Namespace) || len(m.Namespace) > 63) {
		c.invalid(field.NewPath("metadata", "namespace"), m.Namespace, "want a DNS label of at most 63 characters")
	}
	s, path := &m.Spec, field.NewPath("spec")
	c.symbols(path.Child("symbols"), s.Symbols, 20_000)
	c.timeframes(path.Child("timeframes"), s.Timeframes)
	within(c, path.Child("shards"), s.Shards, 0, 256)
	c.feed(path.Child("feed"), &s.Feed)
	c.bars(path.Child("bars"), or(s.Bars))
	c.stream(path.Child("stream"), or(s.Stream))
	within(c, path.Child("history", "ringCapacity"), or(s.History).RingCapacity, 1, 100_000)
	oneOf(c, path.Child("history", "upstream"), or(s.History).Upstream, UpstreamEnabled, UpstreamDisabled)
	c.access(path.Child("access"), or(s.Access))
	c.cluster(path, s)
	for i := range s.Overrides {
		o, at := &s.Overrides[i], path.Child("overrides").Index(i)
		c.symbols(at.Child("symbols"), o.Symbols, 1000)
		oneOf(c, at.Child("ticks"), o.Ticks, TicksDisabled, TicksEnabled, TicksConflated)
		within(c, at.Child("bufferCapacity"), o.BufferCapacity, 1, 100_000)
	}
	c.atMost(path.Child("overrides"), len(s.Overrides), 100)
	return c.errs
}

func (c *check) invalid(path *field.Path, v any, want string) {
	c.errs = append(c.errs, field.Invalid(path, v, want))
}

func (c *check) atMost(path *field.Path, n, most int) {
	if n > most {
		c.errs = append(c.errs, field.TooMany(path, n, most))
	}
}

func (c *check) required(path *field.Path, v, what string) {
	if v == "" {
		c.errs = append(c.errs, field.Required(path, what))
	}
}

func (c *check) match(path *field.Path, v string, pattern *regexp.Regexp, want string) {
	if v != "" && (len(v) > 512 || !pattern.MatchString(v)) {
		c.invalid(path, v, want)
	}
}

func within[T int32 | int64](c *check, path *field.Path, v *T, least, most T) {
	if v != nil && (*v < least || *v > most) {
		c.invalid(path, *v, fmt.Sprintf("want %d to %d", least, most))
	}
}

func oneOf[T ~string](c *check, path *field.Path, v T, known ...T) {
	if v == "" || slices.Contains(known, v) {
		return
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	c.errs = append(c.errs, field.NotSupported(path, v, names))
}

func (c *check) length(path *field.Path, d *Duration, least, most time.Duration) {
	if d == nil {
		return
	}
	v, err := time.ParseDuration(string(*d))
	if err != nil || !lengthPattern.MatchString(string(*d)) || len(*d) > 20 || v < least || v > most {
		c.invalid(path, string(*d), fmt.Sprintf("want a length of time from %v to %v, as 250ms, 2s or 15m", least, most))
	}
}

func (c *check) symbols(path *field.Path, symbols []Symbol, most int) {
	if len(symbols) == 0 {
		c.errs = append(c.errs, field.Required(path, "name at least one symbol"))
	}
	c.atMost(path, len(symbols), most)
	seen := make(map[string]int, len(symbols))
	for i, s := range symbols {
		if len(s) == 0 || len(s) > 32 || !symbolPattern.MatchString(string(s)) {
			c.invalid(path.Index(i), string(s), "want 1 to 32 letters, digits or . _ : / ^ = + -, the first a letter or digit")
		}
		key := strings.ToLower(string(s))
		if first, twice := seen[key]; twice {
			c.invalid(path.Index(i), string(s), fmt.Sprintf("the same as %s; symbols that differ in case alone are the same", path.Index(first)))
		}
		seen[key] = i
	}
}

func (c *check) timeframes(path *field.Path, tfs []Timeframe) {
	for i, tf := range tfs {
		if tf == "" {
			c.errs = append(c.errs, field.Required(path.Index(i), "name a timeframe"))
		}
		oneOf(c, path.Index(i), tf, timeframes...)
		if slices.Contains(tfs[:i], tf) {
			c.errs = append(c.errs, field.Duplicate(path.Index(i), tf))
		}
	}
}

func (c *check) speed(path *field.Path, s Speed) {
	if s == "" || s == "Max" {
		return
	}
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || !speedPattern.MatchString(string(s)) || f < 0.001 || f > 1e6 {
		c.invalid(path, string(s), `want a number from "0.001" to "1000000" (times the recorded pace), or Max`)
	}
}

func (c *check) bars(path *field.Path, b *Bars) {
	oneOf(c, path.Child("session", "calendar"), or(b.Session).Calendar, CalendarAuto, CalendarUSEquities, CalendarAlwaysOpen)
	oneOf(c, path.Child("session", "hours"), or(b.Session).Hours, HoursRegular, HoursExtended, HoursContinuous)
	oneOf(c, path.Child("anchor"), b.Anchor, AnchorClock, AnchorSession)
	c.length(path.Child("closeGrace"), b.CloseGrace, 0, time.Minute)
	c.length(path.Child("revisionWindow"), b.RevisionWindow, 0, time.Hour)
}

func (c *check) stream(path *field.Path, s *Stream) {
	within(c, path.Child("bufferCapacity"), s.BufferCapacity, 1, 100_000)
	oneOf(c, path.Child("ticks"), s.Ticks, TicksDisabled, TicksEnabled, TicksConflated)
	c.length(path.Child("microbarInterval"), s.MicrobarInterval, 50*time.Millisecond, 10*time.Second)
	c.length(path.Child("flushInterval"), s.FlushInterval, 50*time.Millisecond, 10*time.Second)
	c.length(path.Child("heartbeatInterval"), s.HeartbeatInterval, time.Second, time.Minute)
	c.length(path.Child("idleAfter"), s.IdleAfter, 10*time.Second, 24*time.Hour)
	within(c, path.Child("seedBars"), s.SeedBars, 0, 5000)
	within(c, path.Child("maxConnections"), s.MaxConnections, 1, 1_000_000)
	within(c, path.Child("maxSymbolsPerConnection"), s.MaxSymbolsPerConnection, 1, 20_000)
}

func (c *check) access(path *field.Path, a *Access) {
	c.atMost(path.Child("allowedOrigins"), len(a.AllowedOrigins), 100)
	for i, o := range a.AllowedOrigins {
		if !originPattern.MatchString(o) || len(o) > 253 {
			c.invalid(path.Child("allowedOrigins").Index(i), o, "want an origin, scheme and host without a path, as https://app.example.com")
		}
		if slices.Contains(a.AllowedOrigins[:i], o) {
			c.errs = append(c.errs, field.Duplicate(path.Child("allowedOrigins").Index(i), o))
		}
	}
	c.atMost(path.Child("trustedProxies"), len(a.TrustedProxies), 100)
	for i, p := range a.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			c.invalid(path.Child("trustedProxies").Index(i), p, "want a CIDR, as 10.0.0.0/8")
		}
	}
	auth := a.Auth
	if auth == nil {
		return
	}
	path = path.Child("auth")
	if auth.PIN == nil && auth.JWT == nil {
		c.required(path, "", "name exactly one of pin and jwt")
	} else if auth.PIN != nil && auth.JWT != nil {
		c.invalid(path, "pin and jwt", "name exactly one of them")
	}
	if p := auth.PIN; p != nil {
		c.secretKey(path.Child("pin", "secretRef"), &p.SecretRef)
		if p.SessionKeyRef != nil {
			c.secretKey(path.Child("pin", "sessionKeyRef"), p.SessionKeyRef)
		}
	}
	if j := auth.JWT; j != nil {
		c.required(path.Child("jwt", "issuer"), j.Issuer, "name the issuer of tokens")
		c.required(path.Child("jwt", "jwksURL"), j.JWKSURL, "name the URL of the issuer's keys")
		c.match(path.Child("jwt", "jwksURL"), j.JWKSURL, httpsPattern, "want an https URL without user information")
		for i, alg := range j.Algorithms {
			oneOf(c, path.Child("jwt", "algorithms").Index(i), alg, "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA")
		}
	}
}

func (c *check) secretKey(path *field.Path, s *SecretKey) {
	c.required(path.Child("name"), s.Name, "name the Secret")
	c.required(path.Child("key"), s.Key, "name the key in the Secret")
}
