package backbone

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// reserve is the free space below which nothing is appended: what the server writes beside
	// an entry (its index, the state of a stream) must still find room.
	reserve    = 32 << 20
	guardEvery = 500 * time.Millisecond
	// longestPause is the longest time between two starts of a server that goes on refusing to store.
	longestPause = time.Minute
)

// fitVolume bounds BARS to 80 % of what the volume has for it: what is free, and what BARS has.
func fitVolume(o *Options, dir string) error {
	free, err := freeBytes(dir)
	if err != nil {
		return err
	}
	used, err := dirBytes(dir)
	if err != nil {
		return err
	}
	if most := (free + used) / 5 * 4; o.MaxBytes > most {
		o.Log.Info("BARS gets fewer bytes than asked for: its volume has no more", "dir", dir, "asked", o.MaxBytes, "bytes", most)
		o.MaxBytes = max(most, 1)
	}
	return nil
}

func dirBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", dir, err)
	}
	return n, nil
}

// restarts says when a server that stores nothing, though there is space, may be started again:
// ever more rarely, since space is not what it lacks.
type restarts struct {
	last  time.Time
	pause time.Duration // until the next
}

// due reports whether the server may be started again now, and takes it that it is.
func (r *restarts) due(now time.Time) bool {
	if now.Sub(r.last) < r.pause {
		return false
	}
	r.last, r.pause = now, min(max(2*r.pause, guardEvery), longestPause)
	return true
}

// well takes it that the server stores.
func (r *restarts) well(now time.Time) {
	if now.Sub(r.last) > longestPause {
		r.pause = 0
	}
}

// guard keeps BARS from running into a full disk, which JetStream does not survive: after
// one failed write it stores nothing more until it is started again.
type guard struct {
	server *embedded
	stream string
	dir    string
	log    logr.Logger
	done   chan struct{}
	ended  chan struct{}

	again restarts // run's alone

	mu     sync.Mutex
	broken string // why the server stores nothing; "": it does
}

func startGuard(server *embedded, stream, dir string, log logr.Logger) *guard {
	g := &guard{server: server, stream: stream, dir: dir, log: log, done: make(chan struct{}), ended: make(chan struct{})}
	go g.run()
	return g
}

// room returns an error that wraps ErrFull where n more bytes must not be stored now.
func (g *guard) room(n int) error {
	g.mu.Lock()
	broken := g.broken
	g.mu.Unlock()
	if broken != "" {
		return fmt.Errorf("%w: %s", logs.ErrFull, broken)
	}
	free, err := freeBytes(g.dir)
	if err != nil {
		return errors.Join(logs.ErrUnavailable, err)
	}
	if free < reserve+int64(n) {
		return fmt.Errorf("%w: %d MiB free on the volume of %s, %d MiB wanted", logs.ErrFull, free>>20, g.dir, reserve>>20)
	}
	return nil
}

func (g *guard) run() {
	defer close(g.ended)
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.done:
			return
		case <-tick.C:
			g.check()
		}
	}
}

// check starts the server again if it has stopped storing and there is space once more.
func (g *guard) check() {
	broken := g.server.writeError(g.stream)
	g.mu.Lock()
	was := g.broken
	g.broken = broken
	g.mu.Unlock()
	if broken == "" {
		g.again.well(time.Now())
		return
	}
	if was != broken {
		g.log.Error(nil, "BARS stores nothing", "reason", broken)
	}
	if free, err := freeBytes(g.dir); err != nil || free < 2*reserve || !g.again.due(time.Now()) {
		return
	}
	g.server.stop()
	if err := g.server.start(); err != nil {
		g.log.Error(err, "the NATS server does not start again")
		return
	}
	g.log.Info("the NATS server was started again: there is space")
}

func (g *guard) stop() {
	close(g.done)
	<-g.ended
}
