package market

import (
	"archive/zip"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// shared returns the path of a file of the data that lies beside the project
// (../shared from the root; MARKETSTREAM_SHARED names another place). Where it is not
// there the test says so and skips; under CI=true it fails.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("MARKETSTREAM_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root, "data"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs the shared data: %v", err)
		}
		t.Skipf("no shared data: %v", err)
	}
	return path
}

func sharedJSON(t testing.TB, v any, elem ...string) {
	t.Helper()
	b, err := os.ReadFile(shared(t, elem...))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sharedZip returns the rows of the one CSV in a zip.
func sharedZip(t testing.TB, elem ...string) [][]string {
	t.Helper()
	z, err := zip.OpenReader(shared(t, elem...))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func atoi(t testing.TB, s string, base int) int64 {
	t.Helper()
	v, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
