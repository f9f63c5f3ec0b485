package desired

import (
	stdjson "encoding/json"
	"slices"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// What pods of both kinds share. A change here changes the templates of every revision, which a golden
// file refuses: a new revision brings its own.

// user is whom pods run as.
const user int64 = 65532

// mounts gathers the volumes of a pod beside where its one container has them.
type mounts struct {
	volumes []*corev1.VolumeApplyConfiguration
	at      []*corev1.VolumeMountApplyConfiguration
}

func (m *mounts) add(name, path string, v *corev1.VolumeApplyConfiguration) {
	m.volumes = append(m.volumes, v.WithName(name))
	m.at = append(m.at, corev1.VolumeMount().WithName(name).WithMountPath(path).WithReadOnly(true))
}

// secret mounts a Secret, whether or not it is there yet: the pod says what it lacks, and takes it
// up when it comes. Keys are those that it gets; none named: all.
func (m *mounts) secret(volume, path, name string, keys ...string) {
	s := corev1.SecretVolumeSource().WithSecretName(name).WithOptional(true)
	for _, k := range keys {
		s.WithItems(corev1.KeyToPath().WithKey(k).WithPath(k))
	}
	m.add(volume, path, corev1.Volume().WithSecret(s))
}

// podSpec is a pod of the restricted profile: no rights, no token, no capability, its root read-only.
func podSpec(account string, c *corev1.ContainerApplyConfiguration, m *mounts, pull []v1alpha1.SecretName) *corev1.PodSpecApplyConfiguration {
	c.WithVolumeMounts(m.at...).WithImagePullPolicy(core.PullIfNotPresent).WithTerminationMessagePolicy(core.TerminationMessageFallbackToLogsOnError).
		WithSecurityContext(corev1.SecurityContext().WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1.Capabilities().WithDrop("ALL")))
	s := corev1.PodSpec().WithServiceAccountName(account).WithAutomountServiceAccountToken(false).WithEnableServiceLinks(false).
		WithContainers(c).WithVolumes(m.volumes...).
		WithSecurityContext(corev1.PodSecurityContext().WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).
			WithSeccompProfile(corev1.SeccompProfile().WithType(core.SeccompProfileTypeRuntimeDefault)))
	for _, p := range pull {
		s.WithImagePullSecrets(corev1.LocalObjectReference().WithName(p.Name))
	}
	return s
}

// fieldEnv is a variable that Kubernetes fills in.
func fieldEnv(name, path string) *corev1.EnvVarApplyConfiguration {
	return corev1.EnvVar().WithName(name).WithValueFrom(corev1.EnvVarSource().WithFieldRef(
		corev1.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(path)))
}

func containerPort(name string, n int32) *corev1.ContainerPortApplyConfiguration {
	return corev1.ContainerPort().WithName(name).WithContainerPort(n).WithProtocol(core.ProtocolTCP)
}

// probe asks a path every so many seconds, gives it some for an answer, and fails after so many that
// were not good.
func probe(path, port string, every, within, failures int32) *corev1.ProbeApplyConfiguration {
	return corev1.Probe().WithHTTPGet(corev1.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(port)).WithScheme(core.URISchemeHTTP)).
		WithPeriodSeconds(every).WithTimeoutSeconds(within).WithFailureThreshold(failures)
}

// resources are the user's as they are, or else ours. There is no CPU limit: a pod that is throttled
// is late for everybody.
func resources(theirs *core.ResourceRequirements, cpu, request, limit string) *core.ResourceRequirements {
	if theirs != nil {
		return theirs
	}
	return &core.ResourceRequirements{
		Requests: core.ResourceList{core.ResourceCPU: resource.MustParse(cpu), core.ResourceMemory: resource.MustParse(request)},
		Limits:   core.ResourceList{core.ResourceMemory: resource.MustParse(limit)},
	}
}

// share is a percentage of the memory limit, in bytes; 0: there is none.
func share(r *core.ResourceRequirements, percent int64) int64 {
	limit, ok := r.Limits[core.ResourceMemory]
	if !ok {
		return 0
	}
	return limit.Value() * percent / 100
}

// spread has pods lie apart in the topologies, as far as that can be. Pods of another revision of a
// Deployment do not count: a roll ends as evenly as it began.
func spread(s *corev1.PodSpecApplyConfiguration, in *Input, component string, topologies ...string) {
	for _, key := range topologies {
		c := corev1.TopologySpreadConstraint().WithMaxSkew(1).WithTopologyKey(key).
			WithWhenUnsatisfiable(core.ScheduleAnyway).WithLabelSelector(in.selector(component))
		if component == ComponentStreamer {
			c.WithMatchLabelKeys("pod-template-hash")
		}
		s.WithTopologySpreadConstraints(c)
	}
}

// as turns a value of the API into its apply configuration; both have one JSON form.
func as[T any](v any) *T {
	out := new(T)
	text, err := stdjson.Marshal(v)
	if err == nil {
		err = stdjson.Unmarshal(text, out)
	}
	if err != nil { // no value of the API does that
		panic(err)
	}
	return out
}

// tolerations in the form in which they are applied.
func tolerations(from []core.Toleration) (out []*corev1.TolerationApplyConfiguration) {
	for i := range from {
		out = append(out, as[corev1.TolerationApplyConfiguration](&from[i]))
	}
	return out
}

// mountedSecrets are the Secrets that the document names for the feed or access, by name.
func mountedSecrets(s *v1alpha1.MarketStream) []string {
	var names []string
	for _, u := range s.SecretUses() {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return names
}
