package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// files are those of a tar.
func files(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("ELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	img := Image{Name: "example/x:1", Entrypoint: []string{"/x"}, User: "65532", Files: map[string]string{"/x": program}}
	var twice [2][]byte
	for i := range twice {
		path := filepath.Join(dir, "x.tar")
		if err := img.Write(path); err != nil {
			t.Fatal(err)
		}
		twice[i], _ = os.ReadFile(path)
	}
	if !bytes.Equal(twice[0], twice[1]) {
		t.Error("the same files make another image")
	}
	outer := files(t, twice[0])
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(outer["manifest.json"], &manifest); err != nil || manifest[0].RepoTags[0] != img.Name {
		t.Fatalf("%s: %v", outer["manifest.json"], err)
	}
	var config struct {
		Config struct {
			Entrypoint []string
			User       string
		}
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(outer[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := outer[manifest[0].Layers[0]]
	digest := sha256.Sum256(layer)
	if config.Config.Entrypoint[0] != "/x" || config.Config.User != "65532" || config.Rootfs.DiffIDs[0] != "sha256:"+hex.EncodeToString(digest[:]) {
		t.Errorf("%+v", config)
	}
	if got := files(t, layer); string(got["x"]) != "ELF" || len(got) != 2 {
		t.Errorf("%q", got)
	}
	img.Files["/y"] = filepath.Join(dir, "none")
	if err := img.Write(filepath.Join(dir, "y.tar")); err == nil {
		t.Error("a file that is not there was taken")
	}
	if _, err := os.Stat(filepath.Join(dir, "y.tar")); err == nil {
		t.Error("half an image was written")
	}
}
