package replay

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// part is one CSV text: a file, or a member of a zip archive.
type part struct {
	name string
	open func() (io.ReadCloser, error)
}

// findParts lists the CSV texts at path, by name.
func findParts(path string) ([]part, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return fileParts(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, e := range entries {
		if e.IsDir() || !tradeFile(e.Name()) {
			continue
		}
		more, err := fileParts(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s: no trades in this directory: no file named *.csv, *.csv.gz or *.zip", path)
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return parts, nil
}

func tradeFile(name string) bool {
	name = strings.ToLower(name)
	return !hidden(name) &&
		(strings.HasSuffix(name, ".csv") || strings.HasSuffix(name, ".csv.gz") || strings.HasSuffix(name, ".zip"))
}

// hidden reports whether a file is none of the user's: ".x", or what macOS adds to archives.
func hidden(name string) bool {
	return strings.HasPrefix(name, "__MACOSX/") || strings.HasPrefix(name[strings.LastIndexByte(name, '/')+1:], ".")
}

// fileParts looks at a file's first bytes to tell what it is.
func fileParts(path string) ([]part, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return []part{{path, func() (io.ReadCloser, error) { return openGzip(path) }}}, nil
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return zipParts(path)
	}
	return []part{{path, func() (io.ReadCloser, error) { return os.Open(path) }}}, nil
}

type closers struct {
	io.Reader
	close []io.Closer
}

func (c closers) Close() error {
	var first error
	for _, x := range c.close {
		if err := x.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func openGzip(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: not readable as gzip: %w", path, err)
	}
	return closers{z, []io.Closer{z, f}}, nil
}

func zipParts(path string) ([]part, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: not readable as zip: %w", path, err)
	}
	defer func() { _ = z.Close() }()
	var parts []part
	for _, member := range z.File {
		if name := member.Name; strings.HasSuffix(strings.ToLower(name), ".csv") && !hidden(name) {
			parts = append(parts, part{path + "#" + name, func() (io.ReadCloser, error) { return openZip(path, name) }})
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s: no *.csv in this archive", path)
	}
	return parts, nil
}

func openZip(path, name string) (io.ReadCloser, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	f, err := z.Open(name)
	if err != nil {
		_ = z.Close()
		return nil, fmt.Errorf("%s#%s: %w", path, name, err)
	}
	return closers{f, []io.Closer{f, z}}, nil
}
