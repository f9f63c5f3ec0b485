package main

import (
	"bytes"
	"os"
	"testing"
)

// TestSample: the recording beside the samples is what this command writes, so that nobody need
// wonder where its trades come from.
func TestSample(t *testing.T) {
	want, err := os.ReadFile("../../config/samples/synthetic-trades.csv")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := run(nil, &got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("config/samples/synthetic-trades.csv is not what `go run ./recording` writes")
	}
	if err := run([]string{"-from", "tomorrow"}, &got); err == nil {
		t.Error("a time that is none is taken")
	}
}
