package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Processes are those that were started from a directory, which has a file for each: NAME.json, and NAME.log.
type Processes struct{ Dir string }

// started is what is written down of a process. An id is used again by the kernel; with the time of the start, and the
// boot that it counts from, it is not mistaken for another's.
type started struct {
	PID  int    `json:"pid"`
	At   string `json:"at"`
	Boot string `json:"boot"`
}

// Start starts a program that goes on when we end, unless it runs already; namespace is the network's, empty: ours.
func (p Processes) Start(name, namespace, path string, args ...string) error {
	if p.Running(name) {
		return nil
	}
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(p.Log(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	argv := append([]string{path}, args...)
	if namespace != "" {
		// Not `ip netns exec`: that mounts /sys anew, and hides the cgroups.
		argv = append([]string{"nsenter", "--net=" + NamespacePath(namespace), "--"}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // it is what we are for
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s, err := look(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("start %s: %w", name, err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // so that one that ends is seen to
	return os.WriteFile(p.file(name), text, 0o600)
}

// Log is the path of a process's output.
func (p Processes) Log(name string) string { return filepath.Join(p.Dir, name+".log") }

func (p Processes) file(name string) string { return filepath.Join(p.Dir, name+".json") }

// Running reports whether the process that was started under a name runs.
func (p Processes) Running(name string) bool {
	_, ok := p.find(name)
	return ok
}

// Names are those that were started and not stopped.
func (p Processes) Names() []string {
	files, _ := filepath.Glob(p.file("*"))
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files
}

// find gives the id that is written down, if it is still that process's.
func (p Processes) find(name string) (pid int, ok bool) {
	text, err := os.ReadFile(p.file(name))
	if err != nil {
		return 0, false
	}
	var s started
	if json.Unmarshal(text, &s) != nil || s.PID <= 1 {
		return 0, false
	}
	now, err := look(s.PID)
	return s.PID, err == nil && now == s
}

// Stop ends a process and forgets it: politely, and after a while as a crash does.
func (p Processes) Stop(ctx context.Context, name string, within time.Duration) error {
	pid, ok := p.find(name)
	if ok {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		if p.wait(ctx, name, within) != nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			if err := p.wait(ctx, name, within); err != nil {
				return fmt.Errorf("stop %s, process %d: %w", name, pid, err)
			}
		}
	}
	if err := os.Remove(p.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// wait waits for the end of a process that need not be our child.
func (p Processes) wait(ctx context.Context, name string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return Until(ctx, func() error {
		if p.Running(name) {
			return errors.New("it runs")
		}
		return nil
	})
}

// Until asks again and again until there is no error, and gives the last one if that does not come to pass.
func Until(ctx context.Context, so func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := so()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-tick.C:
		}
	}
}

// look says what a process is now; one that has ended and was not waited for is none.
func look(pid int) (started, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return started{}, err
	}
	// The name, in brackets, may hold anything; the state follows, and the start is the 22nd field of all.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return started{}, fmt.Errorf("process %d has ended", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return started{PID: pid, At: fields[19], Boot: strings.TrimSpace(string(boot))}, err
}
