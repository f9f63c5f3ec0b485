// Package proc runs processes of the system under test and stops them by their ids, whatever happens.
package proc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// longestLine is the longest line of a process's output that is kept.
const longestLine = 1 << 20

// Process is one run of a program.
type Process struct {
	Name  string
	Began time.Time
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
	peak  atomic.Int64
	told  atomic.Bool // it was told to end
}

// Start runs a program. Its output goes to a file in dir, and line by line to each, which may be nil.
func Start(dir, name, path string, args, env []string, each func(line string)) (*Process, error) {
	file, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	p := &Process{Name: name, Began: time.Now(), cmd: exec.Command(path, args...), ended: make(chan struct{})} //nolint:gosec // it is what we were built for
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = dieWithUs()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("output of %s: %w", name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	fmt.Fprintf(file, "== %s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), path, strings.Join(args, " "))
	if err := p.cmd.Start(); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	_ = w.Close()
	var reading sync.WaitGroup
	reading.Go(func() {
		defer func() { _ = file.Close() }()
		in := bufio.NewScanner(r)
		in.Buffer(nil, longestLine)
		for in.Scan() {
			fmt.Fprintln(file, in.Text())
			if each != nil {
				each(in.Text())
			}
		}
		_, _ = io.Copy(io.Discard, r)
		_ = r.Close()
	})
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
		reading.Wait()
		if each != nil {
			each("(the process has ended: " + p.cmd.ProcessState.String() + ")")
		}
	}()
	return p, nil
}

// Pid is its id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Running reports whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Ended closes when it has.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Told reports whether it was told to end by us.
func (p *Process) Told() bool { return p.told.Load() }

// Exit says how it ended.
func (p *Process) Exit() string {
	if p.Running() {
		return "it runs"
	}
	return p.cmd.ProcessState.String()
}

// Signal sends it a signal.
func (p *Process) Signal(s syscall.Signal) {
	if s == syscall.SIGTERM || s == syscall.SIGKILL {
		p.told.Store(true)
	}
	_ = p.cmd.Process.Signal(s) // it may have ended
}

// Kill ends it as a crash does.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop ends it politely, and as a crash does after a while.
func (p *Process) Stop(within time.Duration) (polite bool) {
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return true
	case <-time.After(within):
	}
	p.Signal(syscall.SIGQUIT) // its log gets what every goroutine waits for
	select {
	case <-p.ended:
	case <-time.After(dumpWithin):
		p.Kill()
	}
	return false
}

// dumpWithin is how long a process is given to say what it waits for.
const dumpWithin = 3 * time.Second

// Resident reads how much memory it has now, and keeps the peak.
func (p *Process) Resident() int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/status")
	if err != nil {
		return 0 // it has ended, or this system has no /proc
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			for old := p.peak.Load(); kb<<10 > old && !p.peak.CompareAndSwap(old, kb<<10); old = p.peak.Load() {
			}
			return kb << 10
		}
	}
	return 0
}

// Peak is the most that Resident saw.
func (p *Process) Peak() int64 { return p.peak.Load() }
