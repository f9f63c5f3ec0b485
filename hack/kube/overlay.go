package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// overlay writes what go wants to know to build with our files in the place of others, and gives the flag for it.
func (b Build) overlay(ctx context.Context, module, work string) ([]string, error) {
	if len(b.Overlay) == 0 {
		return nil, nil
	}
	replace := map[string]string{}
	for theirs, ours := range b.Overlay {
		path, file, _ := strings.Cut(theirs, ":")
		dir, err := download(ctx, module, path)
		if err != nil {
			return nil, err
		}
		replace[filepath.Join(dir, file)] = filepath.Join(module, ours)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	name := filepath.Join(work, "overlay.json")
	return []string{"-overlay", name}, os.WriteFile(name, text, 0o600)
}

// download has a dependency of a module in go's cache, and says where.
func download(ctx context.Context, module, path string) (string, error) {
	out, err := command(ctx, module, "mod", "download", "-json", path).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	var got struct{ Dir string }
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&got); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return got.Dir, nil
}
