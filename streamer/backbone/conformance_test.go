package backbone

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

// TestConformance runs the suite of logs against NATS, in memory and in files.
func TestConformance(t *testing.T) {
	for _, kind := range []string{"memory", "files"} {
		t.Run(kind, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T) logtest.Subject {
				o := Options{Namespace: "default", Name: "suite", Log: logr.Discard(), MaxBytes: 64 << 20}
				if filepath.Base(t.Name()) == "aged_out" {
					o.Retention = time.Second
				}
				s := logtest.Subject{}
				var b *Backbone
				open := func() logs.Log {
					var err error
					if b, err = Open(context.Background(), o); err != nil {
						t.Fatal(err)
					}
					return b.Bars()
				}
				closeLog := func() {
					if err := b.Close(); err != nil {
						t.Error(err)
					}
				}
				if kind == "files" {
					kept := ""
					o.Dir = filepath.Join(t.TempDir(), "data")
					s.Reopen = func() logs.Log {
						closeLog()
						return open()
					}
					s.Keep = func() logs.Log {
						kept = filepath.Join(t.TempDir(), "kept")
						closeLog()
						if err := os.CopyFS(kept, os.DirFS(o.Dir)); err != nil {
							t.Fatal(err)
						}
						return open()
					}
					s.Rewind = func() logs.Log {
						closeLog()
						if err := os.RemoveAll(o.Dir); err != nil {
							t.Fatal(err)
						}
						if err := os.Rename(kept, o.Dir); err != nil {
							t.Fatal(err)
						}
						return open()
					}
				}
				if filepath.Base(t.Name()) == "aged_out" {
					s.Age = time.Second
				}
				s.Log = open()
				t.Cleanup(closeLog)
				return s
			})
		})
	}
}
