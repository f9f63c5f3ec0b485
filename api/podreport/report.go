// Package podreport is what a streamer pod says of itself at GET /status on its internal
// port. Both planes import it and it imports nothing of ours: the operator, probes and
// people read it. It holds no secret and no client's address.
package podreport

// Report is the body of GET /status. Times are Unix milliseconds.
type Report struct {
	Version string `json:"version"`
	// Schema is the level of the API that the image knows.
	Schema int `json:"schema"`
	// TemplateRevision is that of the pod's template, as its command line says; empty: not said.
	TemplateRevision string `json:"templateRevision"`
	// ConfigRevision is the hash of the document that the pod runs, in hex; empty: it runs none.
	ConfigRevision string `json:"configRevision"`
	// ConfigGeneration is the generation of the shape of bars that is in effect.
	ConfigGeneration int64 `json:"configGeneration"`
	// ConfigError says why the newest document is not run, a line for each mistake; empty if it is.
	ConfigError string `json:"configError"`
	// ConfigReason is a word for it, one of those below; empty if there is no error.
	ConfigReason string       `json:"configReason,omitempty"`
	Secrets      []Secret     `json:"secrets"`
	Epoch        string       `json:"epoch"`
	Feed         Feed         `json:"feed"`
	Partitions   []Partition  `json:"partitions"`
	Moves        []Move       `json:"moves"`
	Connections  int          `json:"connections"`
	Ready        bool         `json:"ready"`
	Draining     bool         `json:"draining"`
	Symbols      int          `json:"symbols"`
	Log          LogPositions `json:"log"`
	Rings        Rings        `json:"rings"`
	Listening    Listening    `json:"listening"`
}

// What ConfigReason may be.
const (
	// ConfigUnreadable: the document, or its generation, is not there or cannot be read.
	ConfigUnreadable = "Unreadable"
	// ConfigInvalid: it has mistakes.
	ConfigInvalid = "Invalid"
	// ConfigNotAvailable: it has no mistakes, and asks for what this version cannot do yet.
	ConfigNotAvailable = "NotAvailable"
	// ConfigNeedsRestart: it changes what a running pod keeps; a pod that starts will run it.
	ConfigNeedsRestart = "NeedsRestart"
	// ConfigDataOfAnotherFeed: the log holds another kind of data, invented, recorded or a vendor's.
	ConfigDataOfAnotherFeed = "DataOfAnotherFeed"
	// ConfigForeignLog: the log belongs to another MarketStream.
	ConfigForeignLog = "ForeignLog"
	// ConfigBackboneUnfit: the NATS server, its account or a stream is not as the document needs it.
	ConfigBackboneUnfit = "BackboneUnfit"
	// ConfigStartFailed: it could not be begun for another reason, such as a recording that is not there.
	ConfigStartFailed = "StartFailed"
)

// Listening is the partitions whose open bars and ticks come to the pod, because its clients want them.
type Listening struct {
	States []int `json:"states"`
	Ticks  []int `json:"ticks"`
}

// Rings is what the pod has of the closed bars in memory, spread over all pods by symbol.
type Rings struct {
	// Held and Wanted count symbols times timeframes: that are here, and that are to be.
	Held   int `json:"held"`
	Wanted int `json:"wanted"`
	Bytes  int `json:"bytes"`
	// Set is the id of the set of warm pods as this one sees them, Loaded the one that it has announced.
	Set    string `json:"set"`
	Loaded string `json:"loaded"`
}

// Secret is a Secret that the pod needs, by name.
type Secret struct {
	// Name of the Secret; where nobody has said it, the path of its file.
	Name string `json:"name"`
	// State is one of those below.
	State string `json:"state"`
	// Reason says what is missing or bad, and never what it holds.
	Reason string `json:"reason,omitempty"`
	// Fingerprint of a vendor's key, 16 hex digits: who has the same key has the same one. Once loaded it stays.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// The states of a Secret.
const (
	SecretLoaded = "loaded"
	// SecretMissing: a file of it is not there. What was loaded before stays in use.
	SecretMissing = "missing"
	// SecretBad: a file of it is not what it should be. What was loaded before stays in use.
	SecretBad = "bad"
)

// Feed is how the feed is doing: the worst of what the pods know that take trades in.
type Feed struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Session string `json:"session"`
	// WatermarkMs: every trade up to here is in; 0: none yet. Once State is "ended" it is the time of the last trade.
	WatermarkMs int64 `json:"watermarkMs"`
	// Own is the state of this pod's own feed; empty while it takes nothing in.
	Own string `json:"own,omitempty"`
}

// Partition is a partition that the pod holds.
type Partition struct {
	ID      int    `json:"id"`
	Token   uint64 `json:"token"`
	Symbols int    `json:"symbols"`
	// WatermarkMs of its fold; 0: none yet. After the end of a feed it is the time of its last trade.
	WatermarkMs int64 `json:"watermarkMs"`
	// LastSeq is the sequence of its last frame in BARS.
	LastSeq uint64 `json:"lastSeq"`
}

// Move is a partition on its way to or from the pod, and why.
type Move struct {
	Partition int    `json:"partition"`
	From      string `json:"from"`
	To        string `json:"to"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
}

// LogPositions is how far the pod has read BARS.
type LogPositions struct {
	AppliedSeq uint64 `json:"appliedSeq"`
}
