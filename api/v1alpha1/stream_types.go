package v1alpha1

// CalendarName names an exchange calendar.
//
// +kubebuilder:validation:Enum=Auto;USEquities;AlwaysOpen
type CalendarName string

// The calendars.
const (
	CalendarAuto       CalendarName = "Auto"
	CalendarUSEquities CalendarName = "USEquities"
	CalendarAlwaysOpen CalendarName = "AlwaysOpen"
)

// HoursName says which part of a trading day makes bars.
//
// +kubebuilder:validation:Enum=Regular;Extended;Continuous
type HoursName string

// The hours.
const (
	HoursRegular    HoursName = "Regular"
	HoursExtended   HoursName = "Extended"
	HoursContinuous HoursName = "Continuous"
)

// AnchorName says from where periods are counted.
//
// +kubebuilder:validation:Enum=Clock;Session
type AnchorName string

// The anchors.
const (
	AnchorClock   AnchorName = "Clock"
	AnchorSession AnchorName = "Session"
)

// Bars says how trades become bars.
type Bars struct {
	// Session says when the market is open.
	// +optional
	Session *Session `json:"session,omitempty"`
	// Anchor of periods above 1m: the clock (hours begin at :00), or the session (09:30 for
	// regular US hours). Absent: Clock.
	// +optional
	Anchor AnchorName `json:"anchor,omitempty"`
	// CloseGrace is how long after its end, in event time, a bar waits for trades that are under
	// way; at most 1m. Absent: 2s, 500ms for crypto vendors.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('1m')",message="want a length of time from 0s to 1m"
	CloseGrace *Duration `json:"closeGrace,omitempty"`
	// RevisionWindow is how late a trade may come and still revise its bars; at most 1h. Absent: 15m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="want a length of time from 0s to 1h"
	RevisionWindow *Duration `json:"revisionWindow,omitempty"`
}

// Session says when the market is open.
type Session struct {
	// Calendar; Auto is the feed's: USEquities for US stocks, else AlwaysOpen. Absent: Auto.
	// +optional
	Calendar CalendarName `json:"calendar,omitempty"`
	// Hours that make bars. Absent: Extended.
	// +optional
	Hours HoursName `json:"hours,omitempty"`
}

// TicksMode says whether clients get single trades.
//
// +kubebuilder:validation:Enum=Disabled;Enabled;Conflated
type TicksMode string

// The modes of ticks.
const (
	TicksDisabled  TicksMode = "Disabled"
	TicksEnabled   TicksMode = "Enabled"
	TicksConflated TicksMode = "Conflated"
)

// Stream says what connected clients get.
type Stream struct {
	// BufferCapacity is how many ticks of a symbol a client may lag before the oldest are dropped. Absent: 1000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	BufferCapacity *int32 `json:"bufferCapacity,omitempty"`
	// Ticks: every trade, the newest of each flushInterval, or none. Absent: Disabled.
	// +optional
	Ticks TicksMode `json:"ticks,omitempty"`
	// MicrobarInterval is the beat at which a client gets the open bars that changed; 50ms to 10s. Absent: 250ms.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('50ms') && duration(self) <= duration('10s')",message="want a length of time from 50ms to 10s"
	MicrobarInterval *Duration `json:"microbarInterval,omitempty"`
	// FlushInterval is how long ticks are gathered for one write; 50ms to 10s. Absent: 50ms.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('50ms') && duration(self) <= duration('10s')",message="want a length of time from 50ms to 10s"
	FlushInterval *Duration `json:"flushInterval,omitempty"`
	// HeartbeatInterval of pings; 1s to 60s. Absent: 15s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1m')",message="want a length of time from 1s to 1m"
	HeartbeatInterval *Duration `json:"heartbeatInterval,omitempty"`
	// IdleAfter is when a page calls a stream without bars idle; 10s to 24h. Absent: 5m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="want a length of time from 10s to 24h"
	IdleAfter *Duration `json:"idleAfter,omitempty"`
	// SeedBars of history that a fresh connection begins with, for each symbol and timeframe. Absent: 50.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5000
	SeedBars *int32 `json:"seedBars,omitempty"`
	// MaxConnections of one pod. Absent: 20000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnections *int32 `json:"maxConnections,omitempty"`
	// MaxSymbolsPerConnection. Absent: 200.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20000
	MaxSymbolsPerConnection *int32 `json:"maxSymbolsPerConnection,omitempty"`
}

// UpstreamMode says whether the vendor is asked for history that is not here.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type UpstreamMode string

// The modes of upstream.
const (
	UpstreamEnabled  UpstreamMode = "Enabled"
	UpstreamDisabled UpstreamMode = "Disabled"
)

// History says what is kept to be asked for.
type History struct {
	// RingCapacity is how many closed bars of each symbol and timeframe are kept in memory. Absent: 5000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	RingCapacity *int32 `json:"ringCapacity,omitempty"`
	// Upstream: whether the vendor is asked for what is not here. Absent: Enabled.
	// +optional
	Upstream UpstreamMode `json:"upstream,omitempty"`
}

// Access says who may connect.
type Access struct {
	// AllowedOrigins are the origins of pages, exact, that may connect with credentials
	// (https://app.example.com). Absent: only pages of the stream's own host.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^https?://[^/@?#]+$`
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`
	// Auth; absent: open.
	// +optional
	Auth *Auth `json:"auth,omitempty"`
	// TrustedProxies are CIDRs whose Forwarded headers count.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(p, isCIDR(p))",message="want CIDRs, as 10.0.0.0/8"
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// TLSSecretName of a certificate: TLS and HTTP/2 by the pods themselves.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// Auth says how clients prove who they are.
//
// +kubebuilder:validation:XValidation:rule="has(self.pin) != has(self.jwt)",message="name exactly one of pin and jwt"
type Auth struct {
	// PIN asks for a number once and gives a session.
	// +optional
	PIN *PINAuth `json:"pin,omitempty"`
	// JWT asks for a token of an issuer.
	// +optional
	JWT *JWTAuth `json:"jwt,omitempty"`
}

// PINAuth asks for a number once and gives a session.
type PINAuth struct {
	// SecretRef holds the PIN.
	// +required
	SecretRef SecretKey `json:"secretRef"`
	// SessionKeyRef holds the key that signs sessions. Absent: one is made.
	// +optional
	SessionKeyRef *SecretKey `json:"sessionKeyRef,omitempty"`
}

// JWTAuth asks for a token of an issuer.
type JWTAuth struct {
	// Issuer that tokens must name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Issuer string `json:"issuer"`
	// JWKSURL of the issuer's keys.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https://[^@]+$`
	JWKSURL string `json:"jwksURL"`
	// Audience that tokens must name.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience,omitempty"`
	// SymbolsClaim names the claim that lists the symbols a token allows. Absent: all.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	SymbolsClaim string `json:"symbolsClaim,omitempty"`
	// Algorithms that are accepted. Absent: RS256 and ES256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=6
	// +kubebuilder:validation:items:Enum=RS256;RS384;RS512;ES256;ES384;EdDSA
	Algorithms []string `json:"algorithms,omitempty"`
}
