package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Assets gives a directory that has every program, and builds what lacks. It tells log what takes time; log may be
// called from another goroutine, and not after Assets has returned.
func Assets(ctx context.Context, log func(string), programs ...string) (dir string, err error) {
	if err := known(programs); err != nil {
		return "", err
	}
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		lacks := lacking(dir, programs)
		if len(lacks) == 0 {
			return dir, nil
		}
		log(fmt.Sprintf("KUBEBUILDER_ASSETS=%s is passed over: it lacks %s", dir, strings.Join(lacks, ", ")))
	}
	cache, err := Cache("kube", Version)
	if err != nil {
		return "", err
	}
	if len(lacking(cache, programs)) == 0 {
		return cache, nil
	}
	if err := buildInto(ctx, log, cache, programs); err != nil {
		return "", fmt.Errorf("build Kubernetes %s: %w", Version, err)
	}
	return cache, nil
}

// Missing are the programs that Assets would have to build.
func Missing(programs ...string) ([]string, error) {
	if err := known(programs); err != nil {
		return nil, err
	}
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" && len(lacking(dir, programs)) == 0 {
		return nil, nil
	}
	cache, err := Cache("kube", Version)
	if err != nil {
		return nil, err
	}
	return lacking(cache, programs), nil
}

// Cache is a directory below the project's cache, which is where the Makefile has it too. It may not exist.
func Cache(elem ...string) (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home := os.Getenv("HOME")
		if home == "" {
			return "", errors.New("no cache: neither XDG_CACHE_HOME nor HOME is set")
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(append([]string{base, "marketstream"}, elem...)...), nil
}

// lacking are the programs that a directory has not, or not as a program.
func lacking(dir string, programs []string) (lacks []string) {
	for _, p := range programs {
		if info, err := os.Stat(filepath.Join(dir, p)); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			lacks = append(lacks, p)
		}
	}
	return lacks
}
