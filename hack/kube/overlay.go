package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// overlay gives the flag to build with our files in the place of others. go -overlay refuses files of its module
// cache, so each module in question is copied, and a go.mod that replaces it by the copy is used instead of the module's own.
func (b Build) overlay(ctx context.Context, module, work string) ([]string, error) {
	if len(b.Overlay) == 0 {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(module, "go.mod")) //nolint:gosec // ours
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	copies := map[string]string{}
	for theirs, ours := range b.Overlay {
		path, file, _ := strings.Cut(theirs, ":")
		if copies[path] == "" {
			if copies[path], err = copyModule(ctx, module, path, filepath.Join(work, fmt.Sprintf("module-%d", len(copies)))); err != nil {
				return nil, err
			}
			if err := mod.AddReplace(path, "", copies[path], ""); err != nil {
				return nil, err
			}
		}
		data, err := os.ReadFile(filepath.Join(module, ours)) //nolint:gosec // ours
		if err != nil {
			return nil, err
		}
		to := filepath.Join(copies[path], file)
		if err := os.Remove(to); err != nil { // it is read-only, and must be there to be replaced
			return nil, err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return nil, err
		}
	}
	if text, err = mod.Format(); err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum")) //nolint:gosec // ours
	if err != nil {
		return nil, err
	}
	name := filepath.Join(work, "build.mod")
	if err := os.WriteFile(filepath.Join(work, "build.sum"), sums, 0o600); err != nil {
		return nil, err
	}
	return []string{"-modfile", name}, os.WriteFile(name, text, 0o600)
}

// copyModule copies a dependency of a module.
func copyModule(ctx context.Context, module, path, to string) (string, error) {
	from, err := download(ctx, module, path)
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return "", fmt.Errorf("copy %s: %w", path, err)
	}
	// Directories of the cache are read-only, and so would be the copy's.
	return to, filepath.WalkDir(to, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o755) //nolint:gosec // as any directory
		}
		return err
	})
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
