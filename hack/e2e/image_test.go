//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/hack/cluster/host"
	"github.com/marketstream/marketstream/hack/cluster/local"
	"github.com/marketstream/marketstream/hack/manifests"
)

// The image that the manifests name, and the same program under another tag, to roll to.
const (
	image     = "marketstream/marketstream:v0.1.0"
	nextImage = "marketstream/marketstream:e2e-next"
)

// loadImages builds the image from the Dockerfile, and has every node know it by both names.
func loadImages(t *testing.T, s *suite) {
	t.Helper()
	root := manifests.Root()
	run(t, root, "make", "static")
	for i, name := range []string{image, nextImage} {
		tar := filepath.Join(t.TempDir(), "image.tar")
		how := buildImage(t, root, name, tar)
		if i == 0 {
			s.report.say("The image was built from the Dockerfile by %s.", how)
		}
		if !s.kube.own {
			run(t, root, "kind", "load", "image-archive", tar)
			continue
		}
		c, err := local.New(local.Options{Dir: filepath.Dir(s.kube.config), Nodes: 3, Log: func(line string) { t.Log(line) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Load(t.Context(), tar); err != nil {
			t.Fatal(err)
		}
	}
}

// buildImage builds with docker where its daemon answers, else with buildah, which needs none.
func buildImage(t *testing.T, root, name, tar string) (how string) {
	t.Helper()
	if exec.CommandContext(t.Context(), "docker", "info").Run() == nil {
		run(t, root, "docker", "build", "-q", "-t", name, ".")
		run(t, root, "docker", "save", "-o", tar, name)
		return "docker"
	}
	if err := host.Install(t.Context(), func(line string) { t.Log(line) }, host.Program{Path: "buildah", Package: "buildah"}); err != nil {
		t.Fatal(err)
	}
	// The vfs driver needs no mounts: it works in a container too.
	store := []string{"--storage-driver", "vfs", "--root", filepath.Join(t.TempDir(), "store"), "--runroot", filepath.Join(t.TempDir(), "run")}
	run(t, root, "buildah", append(store, "bud", "--isolation", "chroot", "-q", "-t", name, ".")...)
	run(t, root, "buildah", append(store, "push", "-q", name, "docker-archive:"+tar+":"+name)...)
	return "buildah"
}

// run runs a program to its end.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, os.Environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
