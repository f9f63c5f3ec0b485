// Package run is one run of chaos: it starts a system and its clients, does faults, mends
// everything and has the oracle look.
package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/faults"
	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/system"
	"github.com/marketstream/marketstream/hack/chaos/timeline"
)

// Options say what is run.
type Options struct {
	Seed                       uint64 // 0: the time
	Faults                     int
	Kinds                      []string
	Clients, Slow, Nodes, Pods int
	Disk                       bool
	KeepGoing                  bool
	Dir, Binary                string
	Settle                     time.Duration
	Pause                      time.Duration // between two faults, at most
	// Scenario is what is done instead of faults; nil: faults.
	Scenario *Scenario
	Out      io.Writer
}

const (
	podBytes  = 256 << 20 // the bound of a streamer's memory
	nodeBytes = 512 << 20 // that of a backbone node
	diskBytes = 320 << 20 // of a node's file system
)

// run is the state of a run.
type run struct {
	Options
	line    *timeline.Timeline
	sys     *system.System
	env     *faults.Env
	clients []*clients.Client
	dumped  map[string]bool
	figures []figure
	checks  []func(*oracle.Log)
	logFrom string // the cursor from which on the log is looked at; "": all of it

	mu   sync.Mutex
	bad  []oracle.Finding // what was wrong while it went on
	stop context.CancelFunc
}

// Result is what a run came to.
type Result struct {
	oracle.Counts
	Findings       []oracle.Finding
	Faults, Visits int
	Took           time.Duration
	Dir            string
	Seed           uint64
}

// Good reports whether nothing was wrong.
func (r *Result) Good() bool { return len(r.Findings) == 0 }

// Run runs chaos once. The error says what kept it from being run; what it found is in the result.
func Run(ctx context.Context, o Options) (res *Result, err error) {
	began := time.Now()
	if o.Seed == 0 {
		o.Seed = uint64(began.UnixNano()) % 1_000_000
	}
	made := o.Dir == ""
	if made {
		if o.Dir, err = os.MkdirTemp("", "chaos-"); err != nil {
			return nil, err
		}
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if o.Scenario != nil {
		fmt.Fprintf(o.Out, "NAME=%s CLIENTS=%d SEED=%d, logs in %s\n", o.Scenario.Name, o.Clients, o.Seed, o.Dir)
	} else {
		fmt.Fprintf(o.Out, "SEED=%d FAULTS=%d kinds=%s, logs in %s\n", o.Seed, o.Faults, strings.Join(o.Kinds, ","), o.Dir)
	}
	if o.Binary == "" {
		if o.Binary, err = build(ctx, o.Dir); err != nil {
			return nil, err
		}
	}
	r := &run{Options: o, dumped: make(map[string]bool)}
	if r.line, err = timeline.New(filepath.Join(o.Dir, "timeline.log"), o.Out); err != nil {
		return nil, err
	}
	defer func() { _ = r.line.Close() }()
	res, err = r.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w (SEED=%d, logs in %s)", err, o.Seed, o.Dir)
	}
	res.Took, res.Dir, res.Seed = time.Since(began), o.Dir, o.Seed
	r.report(res)
	if made && res.Good() {
		err = os.RemoveAll(o.Dir)
	}
	return res, err
}

// build builds marketstream.
func build(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/marketstream/marketstream").Output()
	if err != nil {
		return "", fmt.Errorf("where the module is (run this in hack): %w", err)
	}
	path := filepath.Join(dir, "marketstream")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/marketstream") //nolint:gosec // a path of ours
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building marketstream: %w: %s", err, out)
	}
	return path, nil
}

// wrong notes what is wrong, and ends the faults.
func (r *run) wrong(who, what string) {
	r.line.Say("WRONG", "%s: %s", who, what)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) < 200 {
		r.bad = append(r.bad, oracle.Finding{Who: who, At: time.Now(), Text: what})
	}
	if !r.KeepGoing && r.stop != nil {
		r.stop()
	}
}

func (r *run) run(ctx context.Context) (*Result, error) {
	if err := r.start(ctx); err != nil {
		r.line.Print(r.Out, time.Now().Add(-10*time.Second), time.Now())
		return nil, err
	}
	defer r.sys.Close()
	kinds, err := faults.Choose(r.Kinds, r.sys)
	if err != nil {
		return nil, err
	}
	living, end := context.WithCancel(ctx)
	defer func() {
		end()
		for _, c := range r.clients {
			c.Wait()
		}
	}()
	going, stop := context.WithCancel(ctx)
	defer stop()
	r.mu.Lock()
	r.stop = stop
	r.mu.Unlock()
	if r.Scenario != nil {
		r.play(going, living)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return r.settle(ctx, 0)
	}
	r.connect(living)
	plan := faults.Plan(r.Seed, r.Faults, kinds)
	done := 0
	for i, k := range plan {
		if going.Err() != nil {
			break
		}
		r.env.Do(going, r.Seed, i, k)
		done++
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return r.settle(ctx, done)
}

// start starts the system.
func (r *run) start(ctx context.Context) (err error) {
	o := system.Options{Binary: r.Binary, Dir: r.Dir, NodeCount: r.Nodes, PodCount: r.Pods, SlotCount: 2 * r.Pods,
		TimeframesAlways: []string{"1m", "2m", "5m"}, TimeframesFickle: []string{"3m"}, PerSecond: 4, Seed: r.Seed,
		PodBytes: podBytes, NodeBytes: nodeBytes, Timeline: r.line, Bad: r.wrong}
	for i := range 22 {
		o.Always = append(o.Always, fmt.Sprintf("C%02d-USD", i))
	}
	o.Fickle = []string{"FA-USD", "FB-USD"}
	if r.Disk {
		o.StoreSize = diskBytes
	}
	if r.Scenario != nil {
		o.Fickle, o.TimeframesFickle, o.StoreSize = nil, nil, 0
		r.Scenario.Shape(&o)
	}
	r.line.Say("chaos", "starting %d nodes, %d pods, the vendor", o.NodeCount, o.PodCount)
	r.sys, err = system.Start(ctx, o)
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	r.env = &faults.Env{System: r.sys, Pause: r.Pause}
	r.env.Absent(o.TimeframesFickle, time.Time{})
	return nil
}
