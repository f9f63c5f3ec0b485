package desired

import (
	"fmt"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

const (
	pathConfig      = "/etc/marketstream/config"
	pathBackbone    = "/etc/marketstream/backbone"
	pathBackboneTLS = "/etc/marketstream/backbone-tls"
	pathSecrets     = "/etc/marketstream/secrets" //nolint:gosec // where they are, not what
	pathRecordings  = "/recordings"

	// drain is how long open streams are given to end. It is far above the time after which nobody
	// sends new ones: 3 s of probes, and the routers.
	drain = "20s"
	// streamerGrace is above drain, the hand-over of partitions, and the end of all connections.
	streamerGrace = 60
)

// streamerTemplate1 is the first pod of streamers.
//
// Nothing in it may follow from what is reloaded in place (symbols, caps, origins), nor from the number
// of pods or nodes: it would roll pods when that changes. [StreamerShape] has all that it follows from.
func streamerTemplate1(p *plan) *corev1.PodTemplateSpecApplyConfiguration {
	pod := podOf(p.Stream)
	m := streamerMounts(p)
	r := resources(pod.Resources, "100m", "256Mi", "1Gi")
	c := corev1.Container().WithName(ComponentStreamer).WithImage(p.Streamer.Image).
		WithArgs(streamerArgs(p)...).
		WithEnv(streamerEnv(pod, share(r, 90))...).
		WithPorts(containerPort(namePublic, portPublic), containerPort(nameInternal, portInternal)).
		WithResources(as[corev1.ResourceRequirementsApplyConfiguration](r)).
		// What a pod lacks it waits for: it is up, and /status says what is missing.
		WithStartupProbe(probe("/healthz", nameInternal, 1, 1, 120)).
		WithLivenessProbe(probe("/healthz", nameInternal, 10, 5, 6)).
		// Three in a row, so that a busy machine alone makes no pod unready: it goes on serving.
		WithReadinessProbe(probe("/readyz", nameInternal, 1, 2, 3))
	s := podSpec(StreamerName(p.name), c, m, pod.ImagePullSecrets).
		WithTerminationGracePeriodSeconds(streamerGrace).
		WithNodeSelector(pod.NodeSelector).WithTolerations(tolerations(pod.Tolerations)...)
	if pod.Affinity != nil {
		s.WithAffinity(as[corev1.AffinityApplyConfiguration](pod.Affinity))
	}
	if pod.PriorityClassName != "" {
		s.WithPriorityClassName(pod.PriorityClassName)
	}
	switch pod.TopologySpread {
	case "None":
	case "Node":
		spread(s, p.Input, ComponentStreamer, core.LabelHostname)
	default:
		spread(s, p.Input, ComponentStreamer, core.LabelTopologyZone, core.LabelHostname)
	}
	return corev1.PodTemplateSpec().WithLabels(under(pod.Labels, Labels(p.name, ComponentStreamer))).
		WithAnnotations(pod.Annotations).WithSpec(s)
}

func streamerArgs(p *plan) []string {
	args := []string{"streamer", "--config", pathConfig, "--backbone", streamerURLs(p)}
	if name, key := backboneSecret(p.Stream); name != "" {
		args = append(args, "--backbone-credentials", pathBackbone+"/"+key)
		if !p.external() { // of an external one the document names the Secret
			args = append(args, "--backbone-secret", name)
		}
	}
	if backboneOf(p.Stream).TLSSecretName != "" {
		args = append(args, "--backbone-ca", pathBackboneTLS+"/ca.crt")
	}
	return append(args, "--secrets", pathSecrets, "--recordings", pathRecordings,
		"--address", fmt.Sprintf("[$(POD_IP)]:%d", portInternal), "--pod", "$(POD_NAME)",
		"--template-revision", "1", "--drain", drain)
}

// backboneSecret is what streamers show the backbone: a Secret and the key in it; "": nothing.
func backboneSecret(s *v1alpha1.MarketStream) (name, key string) {
	switch x := backboneOf(s).External; {
	case x == nil:
		return BackboneSecretName(s), KeyToken
	case x.CredentialsSecretRef != nil:
		return x.CredentialsSecretRef.Name, x.CredentialsSecretRef.Key
	}
	return "", ""
}

// streamerURLs are those of all three nodes, also where there is one: a move rolls no streamer.
func streamerURLs(p *plan) string {
	if x := backboneOf(p.Stream).External; x != nil {
		return x.URL
	}
	scheme := "nats://"
	if backboneOf(p.Stream).TLSSecretName != "" {
		scheme = "tls://"
	}
	return scheme + strings.Join(append([]string{fmt.Sprintf("%s.%s.svc:%d", NATSName(p.name), p.Stream.Namespace, portNATS)}, nodeAddresses(p, portNATS)...), ","+scheme)
}

// streamerEnv is ours and the user's. The user may set another GOMEMLIMIT; what arguments are made from
// is ours.
func streamerEnv(pod *v1alpha1.Pod, limit int64) []*corev1.EnvVarApplyConfiguration {
	env := []*corev1.EnvVarApplyConfiguration{fieldEnv("POD_NAME", "metadata.name"), fieldEnv("POD_IP", "status.podIP")}
	limited := limit > 0
	var theirs []*corev1.EnvVarApplyConfiguration
	for _, e := range pod.Env {
		if e.Name == "POD_NAME" || e.Name == "POD_IP" {
			continue
		}
		limited = limited && e.Name != "GOMEMLIMIT"
		v := corev1.EnvVar().WithName(e.Name)
		if e.Value != "" { // an API server keeps no empty value
			v.WithValue(e.Value)
		}
		theirs = append(theirs, v)
	}
	if limited {
		env = append(env, corev1.EnvVar().WithName("GOMEMLIMIT").WithValue(strconv.FormatInt(limit, 10)))
	}
	return append(env, theirs...)
}

func streamerMounts(p *plan) *mounts {
	m := &mounts{}
	m.add("config", pathConfig, corev1.Volume().WithConfigMap(corev1.ConfigMapVolumeSource().WithName(ConfigName(p.name))))
	if name, _ := backboneSecret(p.Stream); name != "" {
		m.secret("backbone", pathBackbone, name)
	}
	if name := backboneOf(p.Stream).TLSSecretName; name != "" {
		m.secret("backbone-tls", pathBackboneTLS, name, "ca.crt") // not the nodes' key
	}
	for i, name := range mountedSecrets(p.Stream) { // a name may be too long for a volume's
		m.secret(fmt.Sprintf("secret-%d", i), pathSecrets+"/"+name, name)
	}
	if r := p.Stream.Spec.Feed.Replay; r != nil && r.Volume != nil {
		m.add("recordings", pathRecordings, corev1.Volume().WithPersistentVolumeClaim(
			corev1.PersistentVolumeClaimVolumeSource().WithClaimName(r.Volume.ClaimName).WithReadOnly(true)))
	} else if r != nil && r.ConfigMap != nil {
		m.add("recordings", pathRecordings, corev1.Volume().WithConfigMap(
			corev1.ConfigMapVolumeSource().WithName(r.ConfigMap.Name).WithOptional(true)))
	}
	return m
}
