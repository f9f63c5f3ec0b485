package desired_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// TestTyped: every object that Kubernetes itself knows has only fields that it knows.
func TestTyped(t *testing.T) {
	for name := range cases {
		all, _ := bodies(t, load(t, name))
		for id, body := range all {
			into, ok := map[string]any{"ConfigMap": &core.ConfigMap{}, "ServiceAccount": &core.ServiceAccount{}, "Service": &core.Service{},
				"NetworkPolicy": &networking.NetworkPolicy{}, "PodDisruptionBudget": &policy.PodDisruptionBudget{},
				"StatefulSet": &apps.StatefulSet{}, "Deployment": &apps.Deployment{}, "Ingress": &networking.Ingress{},
				"HTTPRoute": &map[string]any{}, "ServiceMonitor": &map[string]any{}, "PrometheusRule": &map[string]any{}}[body["kind"].(string)]
			if !ok {
				t.Errorf("%s %s: of a kind that is not known here", name, id)
			} else if err := yaml.UnmarshalStrict([]byte(text(t, body)), into); err != nil {
				t.Errorf("%s %s: %v", name, id, err)
			}
		}
	}
}

// TestPods: what Pod Security "restricted" asks for, and what pods promise each other.
func TestPods(t *testing.T) {
	for name := range cases {
		in := load(t, name)
		all, _ := bodies(t, in)
		for id, body := range all {
			template := at(body, "spec", "template")
			if template == nil {
				continue
			}
			var p core.PodTemplateSpec
			text, err := json.Marshal(template)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &p); err != nil {
				t.Fatal(err)
			}
			s, c := p.Spec, p.Spec.Containers[0]
			security, inside := s.SecurityContext, c.SecurityContext
			for what, ok := range map[string]bool{
				"runs as root":                 *security.RunAsNonRoot && *security.RunAsUser == 65532,
				"has no seccomp profile":       security.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
				"may gain privileges":          !*inside.AllowPrivilegeEscalation,
				"has capabilities":             slices.Equal(inside.Capabilities.Drop, []core.Capability{"ALL"}) && inside.Capabilities.Add == nil,
				"may write its root":           *inside.ReadOnlyRootFilesystem,
				"has a token":                  !*s.AutomountServiceAccountToken,
				"sees services as variables":   !*s.EnableServiceLinks,
				"uses the host":                !s.HostNetwork && !s.HostPID && !s.HostIPC,
				"has more than one container":  len(s.Containers) == 1 && len(s.InitContainers) == 0,
				"is killed before it is done":  *s.TerminationGracePeriodSeconds >= 45,
				"is not told that it drains":   c.ReadinessProbe.HTTPGet.Path == "/readyz" && c.ReadinessProbe.PeriodSeconds*c.ReadinessProbe.FailureThreshold <= 4,
				"is ended for a slow start":    c.StartupProbe.HTTPGet.Path == "/healthz" && c.StartupProbe.FailureThreshold*c.StartupProbe.PeriodSeconds >= 60,
				"is ended for a short absence": c.LivenessProbe.HTTPGet.Path == "/healthz" && c.LivenessProbe.FailureThreshold*c.LivenessProbe.PeriodSeconds >= 30,
			} {
				if !ok {
					t.Errorf("%s %s: %s", name, id, what)
				}
			}
			for _, v := range s.Volumes {
				if v.Secret != nil && !*v.Secret.Optional {
					t.Errorf("%s %s: does not start without Secret %s", name, id, v.Secret.SecretName)
				}
				if v.HostPath != nil {
					t.Errorf("%s %s: mounts the host", name, id)
				}
			}
			memory(t, name+" "+id, &c)
			ports := make(map[string]bool)
			for _, port := range c.Ports {
				ports[port.Name] = true
			}
			for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if !ports[probe.HTTPGet.Port.StrVal] {
					t.Errorf("%s %s: a probe asks port %s", name, id, probe.HTTPGet.Port.StrVal)
				}
			}
		}
	}
}

// memory checks that Go is told of the limit, where there is one.
func memory(t *testing.T, what string, c *core.Container) {
	t.Helper()
	said := ""
	for _, e := range c.Env {
		if e.Name == "GOMEMLIMIT" {
			said = e.Value
		}
	}
	limit, limited := c.Resources.Limits[core.ResourceMemory]
	if want := strconv.FormatInt(limit.Value()*9/10, 10); limited && said != want || !limited && said != "" {
		t.Errorf("%s: GOMEMLIMIT is %q with a limit of %s", what, said, limit.String())
	}
	for i, arg := range c.Args {
		if arg != "--max-memory" {
			continue
		}
		if n, err := strconv.ParseInt(c.Args[i+1], 10, 64); err != nil || n > limit.Value()*6/10 {
			t.Errorf("%s: stores %s in memory with a limit of %s: %v", what, c.Args[i+1], limit.String(), err)
		}
	}
}

// TestLittleMemory: a node gets no less than it starts with.
func TestLittleMemory(t *testing.T) {
	in := input(t, []byte(`{apiVersion: marketstream.dev/v1alpha1, kind: MarketStream, metadata: {name: us, namespace: md}, spec: {symbols: [SPY], feed: {synthetic: {}},
  backbone: {resources: {limits: {memory: 300Mi}}, storage: {size: 3Gi}}}}`))
	all, _ := bodies(t, in)
	containers, _ := at(all["statefulset-us-backbone"], "spec", "template", "spec", "containers").([]any)
	args := text(t, containers[0].(map[string]any)["args"])
	for _, want := range []string{"- --max-memory\n- \"268435456\"\n", "- --max-store\n- 2457Mi\n"} {
		if !strings.Contains(args, want) {
			t.Errorf("want %q in\n%s", want, args)
		}
	}
}

// TestFlags: the programs know the flags that pods give them.
func TestFlags(t *testing.T) {
	declared := regexp.MustCompile(`fs\.\w+\((?:&[\w.]+, )?"([a-z-]+)",`)
	all, _ := bodies(t, load(t, "everything"))
	for id, source := range map[string]string{"deployment-us-equities-streamer": "streamer.go", "statefulset-us-equities-backbone": "backbone.go"} {
		code, err := os.ReadFile(filepath.Join("..", "..", "cmd", "marketstream", source))
		if err != nil {
			t.Fatal(err)
		}
		flags := make(map[string]bool)
		for _, m := range declared.FindAllStringSubmatch(string(code), -1) {
			flags["--"+m[1]] = true
		}
		containers, _ := at(all[id], "spec", "template", "spec", "containers").([]any)
		args, _ := at(containers[0].(map[string]any), "args").([]any)
		if args[0] != strings.TrimSuffix(source, ".go") || len(args) < 10 {
			t.Errorf("%s: runs %v", id, args)
		}
		for _, a := range args {
			if arg, _ := a.(string); strings.HasPrefix(arg, "--") && !flags[arg] {
				t.Errorf("%s: %s does not know %s", id, source, arg)
			}
		}
	}
}
