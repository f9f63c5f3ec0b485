package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// recordingPath is the file or directory that path names. With dir it begins there, and nothing of it may lie elsewhere:
// who writes a document may read the recordings of a pod, and not its other files by what is said to be wrong with them.
func recordingPath(dir, path string) (string, error) {
	if dir == "" {
		return path, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("%s: there are no recordings: %w", dir, cause(err))
	}
	real, err := inside(root, dir, path)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return path, nil //nolint:nilerr // a file, or what the replay says better
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink != 0 {
			if _, err := inside(root, dir, filepath.Join(real, e.Name())); err != nil {
				return "", err
			}
		}
	}
	return path, nil
}

// inside is where path leads to, which must be in root.
func inside(root, dir, path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, cause(err))
	}
	rel, err := filepath.Rel(root, real)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s: want it in %s, where the volume or the configMap is", path, dir)
	}
	return real, nil
}

// cause is an error without its path.
func cause(err error) error {
	var why *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file or directory")
	case errors.As(err, &why):
		return why.Err
	}
	return err
}
