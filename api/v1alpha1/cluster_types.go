package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ServiceType of the Service in front of the pods.
//
// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
type ServiceType string

// Service is the Service in front of the pods.
type Service struct {
	// Type; absent: ClusterIP.
	// +optional
	Type ServiceType `json:"type,omitempty"`
	// Annotations of the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=100
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Ingress is made in front of the Service.
type Ingress struct {
	// Host name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`
	// ClassName of the ingress controller. Absent: the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClassName string `json:"className,omitempty"`
	// TLSSecretName of the host's certificate. Absent: no TLS.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
	// Annotations of the Ingress.
	// +optional
	// +kubebuilder:validation:MaxProperties=100
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Gateway makes an HTTPRoute.
type Gateway struct {
	// ParentRefs are the Gateways that it attaches to.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	ParentRefs []ParentRef `json:"parentRefs"`
	// Hostnames of the route.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	Hostnames []string `json:"hostnames,omitempty"`
}

// ParentRef is a Gateway.
type ParentRef struct {
	// Name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Namespace of the Gateway. Absent: the stream's.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// SectionName of a listener. Absent: all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// Backbone is the NATS that holds the logs: our own, or the user's.
//
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !(has(self.replicas) || has(self.storage) || has(self.resources))",message="an external backbone has no replicas, storage or resources of ours"
type Backbone struct {
	// External is a NATS that the user has.
	// +optional
	External *ExternalBackbone `json:"external,omitempty"`
	// Replicas of the server: 1 or 3. Absent: 1.
	// +optional
	// +kubebuilder:validation:Enum=1;3
	Replicas *int32 `json:"replicas,omitempty"`
	// Storage of each replica.
	// +optional
	Storage *Storage `json:"storage,omitempty"`
	// Retention of closed bars in the log; at least 48h. Absent: 168h.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('48h') && duration(self) <= duration('87600h')",message="want a length of time from 48h to 87600h"
	Retention *Duration `json:"retention,omitempty"`
	// Resources of each replica. Absent: 100m CPU and 256Mi of memory asked for, 1Gi at most; half of the limit is for
	// ticks in memory.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// NodeSelector of the replicas.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of the replicas.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// TLSSecretName of the server's certificate. Absent: no TLS inside the namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// ExternalBackbone is a NATS that the user has.
type ExternalBackbone struct {
	// URL of the server.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(nats|tls)://[^@]+$`
	URL string `json:"url"`
	// CredentialsSecretRef holds a credentials file.
	// +optional
	CredentialsSecretRef *SecretKey `json:"credentialsSecretRef,omitempty"`
	// Prefix of subjects and streams. Absent: <namespace>_<name>.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	Prefix string `json:"prefix,omitempty"`
}

// WhenDeleted says what becomes of volumes.
//
// +kubebuilder:validation:Enum=Retain;Delete
type WhenDeleted string

// Storage of each replica of the backbone.
type Storage struct {
	// Size, at least 1Gi; it can grow. Absent: 10Gi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Gi')) >= 0",message="want at least 1Gi, as 10Gi: with less nothing can be stored beside what a node keeps free"
	Size *resource.Quantity `json:"size,omitempty"`
	// ClassName of the storage. Absent: the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClassName string `json:"className,omitempty"`
	// WhenDeleted says what becomes of the volumes with the stream. Absent: Retain.
	// +optional
	WhenDeleted WhenDeleted `json:"whenDeleted,omitempty"`
}

// NetworkPolicyMode says whether network policies are made.
//
// +kubebuilder:validation:Enum=Managed;None
type NetworkPolicyMode string

// NetworkPolicy says whether network policies are made.
type NetworkPolicy struct {
	// Mode; absent: Managed.
	// +optional
	Mode NetworkPolicyMode `json:"mode,omitempty"`
	// ExtraEgress that pods may reach besides what they need.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ExtraEgress []EgressPeer `json:"extraEgress,omitempty"`
	// ScrapeFrom are the namespaces that may scrape. Absent: all while a ServiceMonitor is made; empty: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	ScrapeFrom *[]string `json:"scrapeFrom,omitempty"`
}

// EgressPeer is an address that pods may reach.
type EgressPeer struct {
	// CIDR of addresses.
	// +required
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="want a CIDR, as 10.0.0.0/8"
	CIDR string `json:"cidr"`
	// Port; absent: any.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
}

// Switch is on, off, or up to what is there.
//
// +kubebuilder:validation:Enum=Auto;Enabled;Disabled
type Switch string

// The switches.
const (
	SwitchAuto     Switch = "Auto"
	SwitchEnabled  Switch = "Enabled"
	SwitchDisabled Switch = "Disabled"
)

// Monitoring says what is made for Prometheus.
type Monitoring struct {
	// ServiceMonitor; Auto: where its CRD exists. Absent: Auto.
	// +optional
	ServiceMonitor Switch `json:"serviceMonitor,omitempty"`
	// Rules of alerts; Auto: where their CRD exists. Absent: Auto.
	// +optional
	Rules Switch `json:"rules,omitempty"`
	// Interval of scrapes; 5s to 5m. Absent: 15s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('5m')",message="want a length of time from 5s to 5m"
	Interval *Duration `json:"interval,omitempty"`
	// Labels of what is made.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
	// SymbolLabels: whether metrics are labelled by symbol; Auto: up to 200 symbols. Absent: Auto.
	// +optional
	SymbolLabels Switch `json:"symbolLabels,omitempty"`
}

// PodUpdates says when pods take a new template of the operator's.
//
// +kubebuilder:validation:Enum=Pinned;Follow
type PodUpdates string

// TopologySpread of the pods.
//
// +kubebuilder:validation:Enum=Zone;Node;None
type TopologySpread string

// Pod is what is set on the streamer pods.
type Pod struct {
	// Image; absent: the operator's own release.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// Updates; absent: Pinned.
	// +optional
	Updates PodUpdates `json:"updates,omitempty"`
	// ImagePullSecrets of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	ImagePullSecrets []SecretName `json:"imagePullSecrets,omitempty"`
	// Resources of a pod. Absent: 100m CPU and 256Mi of memory asked for, 1Gi at most.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// NodeSelector of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Affinity of the pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// TopologySpread of the pods. Absent: Zone.
	// +optional
	TopologySpread TopologySpread `json:"topologySpread,omitempty"`
	// PriorityClassName of the pods.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// Labels of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
	// Env of the pods: literals only.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is an environment variable with a literal value.
type EnvVar struct {
	// Name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Value of the variable.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}
