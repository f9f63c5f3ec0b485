//go:build !linux && !darwin && !freebsd

package backbone

import "errors"

type dirLock struct{}

var errNoDir = errors.New("a data directory needs Linux, macOS or FreeBSD: run without one")

func lockDir(string) (*dirLock, error) { return nil, errNoDir }

func (*dirLock) release() error { return nil }

func freeBytes(string) (int64, error) { return 0, errNoDir }

func deviceOf(string) (uint64, error) { return 0, errNoDir }
