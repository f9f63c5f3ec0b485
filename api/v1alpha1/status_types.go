package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MarketStreamStatus is what was seen; it comes from the pods' own reports.
type MarketStreamStatus struct {
	// ObservedGeneration of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Shards that exist.
	// +optional
	Shards int32 `json:"shards,omitempty"`
	// ReadyShards serve.
	// +optional
	ReadyShards int32 `json:"readyShards,omitempty"`
	// Selector of the streamer pods, for autoscalers.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`
	// URL at which the stream is served.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`
	// Symbols that are carried.
	// +optional
	Symbols int32 `json:"symbols,omitempty"`
	// Feed by name.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Feed string `json:"feed,omitempty"`
	// Connections of clients, about.
	// +optional
	Connections int32 `json:"connections,omitempty"`
	// Conditions: Ready, Reconciling and Stalled as kstatus has them, and what they follow from.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Pods and what each runs.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Pods []PodStatus `json:"pods,omitempty"`
}

// PodStatus is what one pod reports.
type PodStatus struct {
	// Name of the pod.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// ConfigRevision that it runs.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ConfigRevision string `json:"configRevision,omitempty"`
	// Partitions that it holds.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Partitions []int32 `json:"partitions,omitempty"`
}

// The types of conditions.
const (
	ConditionReady         = "Ready"
	ConditionReconciling   = "Reconciling"
	ConditionStalled       = "Stalled"
	ConditionFeedConnected = "FeedConnected"
	ConditionBackboneReady = "BackboneReady"
	ConditionExposed       = "Exposed"
	ConditionMonitored     = "Monitored"
	ConditionPaused        = "Paused"
)

// AnnotationPaused on a MarketStream, with the value "true", stops all changes but those of status.
const AnnotationPaused = "marketstream.dev/paused"
