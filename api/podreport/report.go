// Package podreport is what a streamer pod says of itself at GET /status on its internal
// port. Both planes import it and it imports nothing of ours: the operator, probes and
// people read it. It holds no secret and no client's address.
package podreport

// Report is the body of GET /status. Times are Unix milliseconds.
type Report struct {
	Version          string `json:"version"`
	TemplateRevision string `json:"templateRevision"`
	// ConfigRevision is the hash of the document that the pod runs, in hex.
	ConfigRevision string `json:"configRevision"`
	// ConfigGeneration is the generation of the shape of bars that is in effect.
	ConfigGeneration int64 `json:"configGeneration"`
	// ConfigError says why the newest document is not run, a line for each mistake; empty if it is.
	ConfigError string `json:"configError"`
	// ConfigReason is a word for it: Invalid, NotAvailable, DataOfAnotherFeed; empty if there is no error.
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
	Name  string `json:"name"`
	State string `json:"state"`
}

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
