package local

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestMountsBelow(t *testing.T) {
	const info = `22 1 8:1 / / rw - ext4 /dev/vda rw
30 22 0:30 / /var/lib/c/n1/kubelet/pods/a/volumes/token rw - tmpfs tmpfs rw
31 22 0:31 / /var/lib/c/n1 rw - tmpfs tmpfs rw
32 22 0:31 / /var/lib/cc/n1 rw - tmpfs tmpfs rw
33 22 0:31 / /var/lib/c/with\040blank rw - tmpfs tmpfs rw
`
	want := []string{"/var/lib/c/with blank", "/var/lib/c/n1/kubelet/pods/a/volumes/token", "/var/lib/c/n1"}
	if got := mountsBelow(info, "/var/lib/c"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestReleased(t *testing.T) {
	for module, want := range map[string]string{"v0.316.0": "v3.16.0", "v0.302.1": "v3.2.1", "v1.2.3": "v1.2.3"} {
		if got := released(module); got != want {
			t.Errorf("%s: %s, want %s", module, got, want)
		}
	}
}

// TestManifests: each can be rendered, and is YAML of objects.
func TestManifests(t *testing.T) {
	values := map[string]any{}
	for _, key := range strings.Fields("Name Dir IP Pods Socket CNI PauseImage CA DNS PodNet ProxyConfig Cgroup Image Node Cert Key Operator Reloader Prometheus Version") {
		values[key] = "x"
	}
	values["Volumes"] = []map[string]string{{"Name": "a", "Path": "/a", "Node": "n1"}, {"Name": "b", "Path": "/b", "Node": "n1"}}
	all, err := manifests.ReadDir("manifests")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		text, err := render(m.Name(), values)
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.HasSuffix(m.Name(), ".yaml") {
			continue
		}
		for _, part := range strings.Split(string(text), "\n---\n") {
			var object struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal([]byte(part), &object); err != nil || object.APIVersion == "" || object.Kind == "" {
				t.Errorf("%s: %+v, %v in\n%s", m.Name(), object, err, part)
			}
		}
	}
}
