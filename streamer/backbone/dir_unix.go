//go:build linux || darwin || freebsd

package backbone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dirLock holds a directory for this process; the kernel gives it free when the process ends,
// however it does.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return &dirLock{file: f}, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("data directory %s is in use by another process", dir)
	default:
		err = fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	return nil, errors.Join(err, f.Close())
}

func (l *dirLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// freeBytes is the space that the volume of dir has left for this process.
func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// deviceOf names the file system that a path lies on.
func deviceOf(path string) (uint64, error) {
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		return 0, fmt.Errorf("file system of %s: %w", path, err)
	}
	return uint64(s.Dev), nil //nolint:unconvert // its type differs from system to system
}
