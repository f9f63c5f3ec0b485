package desired

import (
	"fmt"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

const (
	pathData = "/data"
	// backboneGrace is above a polite stop: leaders are handed over, what is open is closed.
	backboneGrace = 60
	// leastMemory is what a node wants for messages at least: with less it does not start.
	leastMemory = 256 << 20
)

// backboneTemplate1 is the first pod of nodes. [BackboneShape] has all that it follows from, but the
// number of nodes, which the controller changes by the procedure of a move.
func backboneTemplate1(p *plan) *corev1.PodTemplateSpecApplyConfiguration {
	b, pod := backboneOf(p.Stream), podOf(p.Stream)
	r := resources(b.Resources, "100m", "256Mi", "1Gi")
	m := &mounts{}
	m.secret("backbone", pathBackbone, BackboneSecretName(p.Stream))
	if b.TLSSecretName != "" {
		m.secret("backbone-tls", pathBackboneTLS, b.TLSSecretName)
	}
	m.at = append(m.at, corev1.VolumeMount().WithName(volumeName).WithMountPath(pathData))
	env := []*corev1.EnvVarApplyConfiguration{fieldEnv("POD_NAME", "metadata.name")}
	if limit := share(r, 90); limit > 0 {
		env = append(env, corev1.EnvVar().WithName("GOMEMLIMIT").WithValue(strconv.FormatInt(limit, 10)))
	}
	c := corev1.Container().WithName(ComponentBackbone).WithImage(p.Backbone.Image).
		WithArgs(backboneArgs(p, share(r, 50))...).
		WithEnv(env...).
		WithPorts(containerPort(nameNATS, portNATS), containerPort(nameCluster, portCluster), containerPort(nameHealth, portHealth)).
		WithResources(as[corev1.ResourceRequirementsApplyConfiguration](r)).
		// A node answers once it listens for probes; reading a large log again may go on after that.
		WithStartupProbe(probe("/healthz", nameHealth, 1, 1, 120)).
		// A node that is slow is not made better by losing what it has in memory.
		WithLivenessProbe(probe("/healthz", nameHealth, 10, 10, 6)).
		WithReadinessProbe(probe("/readyz", nameHealth, 2, 2, 2))
	s := podSpec(BackboneName(p.name), c, m, pod.ImagePullSecrets).
		WithTerminationGracePeriodSeconds(backboneGrace).
		WithNodeSelector(b.NodeSelector).WithTolerations(tolerations(b.Tolerations)...)
	s.SecurityContext.WithFSGroup(user).WithFSGroupChangePolicy(core.FSGroupChangeOnRootMismatch)
	spread(s, p.Input, ComponentBackbone, core.LabelTopologyZone, core.LabelHostname)
	return corev1.PodTemplateSpec().WithLabels(Labels(p.name, ComponentBackbone)).WithSpec(s)
}

func backboneArgs(p *plan, memory int64) []string {
	args := []string{"backbone", "--store", pathData, "--on-volume", "--name", "$(POD_NAME)",
		"--listen", fmt.Sprintf(":%d", portNATS), "--cluster-listen", fmt.Sprintf(":%d", portCluster),
		"--health-listen", fmt.Sprintf(":%d", portHealth), "--replicas", strconv.Itoa(int(p.BackboneNodes)),
		"--routes", strings.Join(nodeAddresses(p, portCluster), ","), "--credentials", pathBackbone + "/" + KeyToken,
		"--credentials-secret", BackboneSecretName(p.Stream),
		"--max-store", maxStore(p)}
	if memory > 0 { // of ticks, mostly; the rest is for what the server itself needs
		args = append(args, "--max-memory", strconv.FormatInt(max(memory, leastMemory), 10))
	}
	if name := backboneOf(p.Stream).TLSSecretName; name != "" {
		args = append(args, "--tls-cert", pathBackboneTLS+"/tls.crt", "--tls-key", pathBackboneTLS+"/tls.key", "--tls-ca", pathBackboneTLS+"/ca.crt",
			"--tls-secret", name)
	}
	return append(args, "--log-format", "json")
}

// maxStore is 80 % of what was asked for: a volume may be a directory of a larger disk, where a node
// cannot find its size by looking.
func maxStore(p *plan) string {
	size := StorageSize(p.Stream)
	bytes := size.Value() / 5 * 4
	if mi := bytes >> 20; mi > 0 {
		return fmt.Sprintf("%dMi", mi)
	}
	return strconv.FormatInt(bytes, 10)
}
