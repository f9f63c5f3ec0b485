package desired

import (
	core "k8s.io/api/core/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// A shape is what only a new pod can take: another one rolls pods. Its JSON form is hashed, and the hash
// stands in the annotations of workloads that older operators made. So a field may be added, absent while
// nobody uses it; none may be renamed, and what is absent means stays what it was.

// streamerShape is all that the templates of streamers follow from, but image and revision.
type streamerShape struct {
	Resources         *core.ResourceRequirements `json:"resources,omitempty"` // {} and absent differ: none, and ours
	NodeSelector      map[string]string          `json:"nodeSelector,omitempty"`
	Tolerations       []core.Toleration          `json:"tolerations,omitempty"`
	Affinity          *core.Affinity             `json:"affinity,omitempty"`
	TopologySpread    v1alpha1.TopologySpread    `json:"topologySpread,omitempty"`
	PriorityClassName string                     `json:"priorityClassName,omitempty"`
	ImagePullSecrets  []v1alpha1.SecretName      `json:"imagePullSecrets,omitempty"`
	Labels            map[string]string          `json:"labels,omitempty"`
	Annotations       map[string]string          `json:"annotations,omitempty"`
	Env               []v1alpha1.EnvVar          `json:"env,omitempty"`

	Secrets       []string            `json:"secrets,omitempty"`   // mounted, by name
	Volume        string              `json:"volume,omitempty"`    // claim with recordings
	ConfigMap     string              `json:"configMap,omitempty"` // with recordings
	BackboneURL   string              `json:"backboneURL,omitempty"`
	BackboneCreds *v1alpha1.SecretKey `json:"backboneCredentials,omitempty"`
	BackboneTLS   string              `json:"backboneTLS,omitempty"`
}

// backboneShape is all that the templates of nodes follow from, but image, revision and the number of nodes.
type backboneShape struct {
	Resources        *core.ResourceRequirements `json:"resources,omitempty"`
	NodeSelector     map[string]string          `json:"nodeSelector,omitempty"`
	Tolerations      []core.Toleration          `json:"tolerations,omitempty"`
	ImagePullSecrets []v1alpha1.SecretName      `json:"imagePullSecrets,omitempty"`
	TLSSecret        string                     `json:"tlsSecret,omitempty"`
	StorageBytes     int64                      `json:"storageBytes"` // a node is told how much it may store
}

// StreamerShape is the hash of the fields that only a new streamer pod can take.
func StreamerShape(s *v1alpha1.MarketStream) string {
	pod, backbone := podOf(s), backboneOf(s)
	shape := streamerShape{Resources: pod.Resources, NodeSelector: pod.NodeSelector, Tolerations: pod.Tolerations,
		Affinity: pod.Affinity, TopologySpread: pod.TopologySpread, PriorityClassName: pod.PriorityClassName,
		ImagePullSecrets: pod.ImagePullSecrets, Labels: pod.Labels, Annotations: pod.Annotations, Env: pod.Env,
		Secrets: mountedSecrets(s), BackboneTLS: backbone.TLSSecretName}
	if shape.TopologySpread == "Zone" {
		shape.TopologySpread = ""
	}
	if shape.Affinity != nil && *shape.Affinity == (core.Affinity{}) {
		shape.Affinity = nil
	}
	if r := s.Spec.Feed.Replay; r != nil && r.Volume != nil {
		shape.Volume = r.Volume.ClaimName
	} else if r != nil && r.ConfigMap != nil {
		shape.ConfigMap = r.ConfigMap.Name
	}
	if x := backbone.External; x != nil {
		shape.BackboneURL, shape.BackboneCreds = x.URL, x.CredentialsSecretRef
	}
	return mustHash(shape)
}

// BackboneShape is the hash of the fields that only a new pod of a node can take.
func BackboneShape(s *v1alpha1.MarketStream) string {
	b, size := backboneOf(s), StorageSize(s)
	return mustHash(backboneShape{Resources: b.Resources, NodeSelector: b.NodeSelector, Tolerations: b.Tolerations,
		ImagePullSecrets: podOf(s).ImagePullSecrets, TLSSecret: b.TLSSecretName, StorageBytes: size.Value()})
}

// mustHash is for values of the API, all of which have a JSON form.
func mustHash(v any) string {
	sum, err := hash(v)
	if err != nil {
		panic(err)
	}
	return sum
}
