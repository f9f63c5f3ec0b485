package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MarketStream is a stream of live market data: symbols from a vendor, as bars over
// Server-Sent Events, with history beside it.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.shards,statuspath=.status.shards,selectorpath=.status.selector
// +kubebuilder:resource:shortName=ms,categories=all
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Shards",type=integer,JSONPath=`.status.readyShards`
// +kubebuilder:printcolumn:name="Symbols",type=integer,JSONPath=`.status.symbols`
// +kubebuilder:printcolumn:name="Feed",type=string,JSONPath=`.status.feed`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 40 characters that begins with a letter: what is made for the stream is named after it, with a suffix"
type MarketStream struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	// +required
	Spec MarketStreamSpec `json:"spec"`
	// Status is what was seen.
	// +optional
	Status MarketStreamStatus `json:"status,omitempty"`
}

// MarketStreamList is a list of MarketStreams.
//
// +kubebuilder:object:root=true
type MarketStreamList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MarketStream `json:"items"`
}

// Symbol is a vendor's name of an instrument. Symbols match case-insensitively and keep
// their spelling here.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._:/^=+-]*$`
type Symbol string

// Timeframe is the length of a bar.
//
// +kubebuilder:validation:Enum="1m";"2m";"3m";"5m";"10m";"15m";"30m";"1h";"2h";"4h";"1d"
type Timeframe string

// Duration is a length of time as text: 250ms, 2s, 15m, 168h.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
type Duration string

// MarketStreamSpec is what is wanted of a stream.
//
// +kubebuilder:validation:XValidation:rule="(has(self.backbone) && has(self.backbone.storage) && has(self.backbone.storage.size) ? quantity(string(self.backbone.storage.size)) : quantity('10Gi')).compareTo((has(oldSelf.backbone) && has(oldSelf.backbone.storage) && has(oldSelf.backbone.storage.size) ? quantity(string(oldSelf.backbone.storage.size)) : quantity('10Gi'))) >= 0",message="backbone.storage.size can grow and not shrink (absent: 10Gi)"
// +kubebuilder:validation:XValidation:rule="(has(self.backbone) && has(self.backbone.storage) && has(self.backbone.storage.className) ? self.backbone.storage.className : \"\") == (has(oldSelf.backbone) && has(oldSelf.backbone.storage) && has(oldSelf.backbone.storage.className) ? oldSelf.backbone.storage.className : \"\")",message="backbone.storage.className cannot change: volumes are made once; make another MarketStream"
// +kubebuilder:validation:XValidation:rule="(has(self.backbone) && has(self.backbone.external)) == (has(oldSelf.backbone) && has(oldSelf.backbone.external))",message="backbone cannot move between servers of its own and an external one: the log stays where it is; make another MarketStream"
type MarketStreamSpec struct {
	// Symbols that the stream carries, in the vendor's spelling; no two may differ in case alone.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20000
	// +kubebuilder:validation:XValidation:rule="self.transformMapEntry(i, s, {s.lowerAscii(): i}).size() == self.size()",message="no symbol may be named twice; symbols that differ in case alone are the same"
	Symbols []Symbol `json:"symbols"`

	// Timeframes of bars; 1m is always made and the others are merges of it. Absent: 1m.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=11
	Timeframes []Timeframe `json:"timeframes,omitempty"`

	// Shards is the number of streamer pods; 0 hibernates the stream: its log stays for its retention.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=256
	Shards *int32 `json:"shards,omitempty"`

	// Feed is where trades come from.
	// +required
	Feed Feed `json:"feed"`

	// Bars says how trades become bars.
	// +optional
	Bars *Bars `json:"bars,omitempty"`
	// Stream says what connected clients get.
	// +optional
	Stream *Stream `json:"stream,omitempty"`
	// History says what is kept to be asked for.
	// +optional
	History *History `json:"history,omitempty"`
	// Access says who may connect.
	// +optional
	Access *Access `json:"access,omitempty"`
	// Service is the Service in front of the pods.
	// +optional
	Service *Service `json:"service,omitempty"`
	// Ingress, if present, is made.
	// +optional
	Ingress *Ingress `json:"ingress,omitempty"`
	// Gateway, if present, makes an HTTPRoute.
	// +optional
	Gateway *Gateway `json:"gateway,omitempty"`
	// Backbone is the NATS that holds the logs.
	// +optional
	Backbone *Backbone `json:"backbone,omitempty"`
	// NetworkPolicy says whether network policies are made.
	// +optional
	NetworkPolicy *NetworkPolicy `json:"networkPolicy,omitempty"`
	// Monitoring says what is made for Prometheus.
	// +optional
	Monitoring *Monitoring `json:"monitoring,omitempty"`
	// Pod is what is set on the streamer pods.
	// +optional
	Pod *Pod `json:"pod,omitempty"`

	// Overrides change stream settings for some symbols; the first that names a symbol wins.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Overrides []Override `json:"overrides,omitempty"`
}

// Override changes stream settings for some symbols.
type Override struct {
	// Symbols that it is for.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Symbols []Symbol `json:"symbols"`
	// Ticks as in stream.ticks.
	// +optional
	Ticks TicksMode `json:"ticks,omitempty"`
	// BufferCapacity as in stream.bufferCapacity.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	BufferCapacity *int32 `json:"bufferCapacity,omitempty"`
}
