package podreport

// Node is the body of GET /status of a backbone's node, but for its counts of bytes.
type Node struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Generation of the store that holds; 0: none yet.
	Generation int `json:"generation"`
	// Replicas are the nodes of that generation; 0: none yet.
	Replicas int `json:"replicas"`
	// Moving is what a move between one node and three is at; empty: nothing moves.
	Moving string `json:"moving,omitempty"`
	Ready  bool   `json:"ready"`
	// Reason why it is not ready.
	Reason  string   `json:"reason,omitempty"`
	Doing   string   `json:"doing"`
	Clients int      `json:"clients"`
	Secrets []Secret `json:"secrets,omitempty"`
}
