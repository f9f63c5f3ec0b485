// Command bench measures what docs/acceptance.md names and prints each figure beside its
// goal. It makes no claim in seconds of wall time: figures are per CPU-second of the
// measured process, counts or bytes.
//
// Streams are measured with the clients in a process of their own (bench clients), so that
// their CPU is not the server's. Everything stays on loopback.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "clients" {
		clients(os.Args[2:])
		return
	}
	if len(os.Args) > 1 && (os.Args[1] == "streams" || os.Args[1] == "history" || os.Args[1] == "rings") {
		step := historyFromRing
		switch os.Args[1] {
		case "rings":
			step = ringsSpread
		case "streams":
			step = func() error {
				n, err := strconv.Atoi(os.Args[2])
				return errors.Join(err, streams(n))
			}
		}
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	root := flag.String("root", "../..", "the project")
	n := flag.Int("clients", 2000, "streams")
	ticks := flag.Int("ticks", 3_000_000, "trades to replay")
	flag.Parse()
	fmt.Printf("%-58s %14s   %s\n", "what", "figure", "goal")
	for _, step := range []func() error{
		func() error { return replayed(*root, *ticks) },
		func() error {
			return goBench(*root, "./streamer/bars", "Trade", `([0-9.]+) allocs/trade\s+([0-9.]+) cpu-ns/trade`, "allocations, CPU ns per tick in the fold", "0, 60")
		},
		func() error { return ringBytes(*root) },
		func() error {
			return goBench(*root, "./streamer/ingest", "Close20000/synced", `([0-9.]+) cpu-ms/close`, "CPU ms for a close of 20,000 bars, synced", "10")
		},
		func() error { return apart("streams", fmt.Sprint(*n)) },
		func() error { return apart("history") },
		func() error { return apart("rings") },
	} {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// apart measures in a process of its own, whose memory and CPU are nothing else's.
func apart(args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func row(what, figure, goal string) { fmt.Printf("%-58s %14s   %s\n", what, figure, goal) }

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func goTest(root string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"test"}, args...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", args, err, out)
	}
	return out, nil
}

func goBench(root, pkg, name, pattern, what, goal string) error {
	out, err := goTest(root, "-run", "^$", "-bench", "^Benchmark"+name+"$", pkg)
	if err != nil {
		return err
	}
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("no figure in %s", out)
	}
	row(what, string(bytes.Join(m[1:], []byte(", "))), goal)
	return nil
}

func ringBytes(root string) error {
	out, err := goTest(root, "-count=1", "-v", "-run", "TestBytesPerBar", "./streamer/ring")
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`([0-9.]+) bytes a bar`).FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("no figure in %s", out)
	}
	row("bytes per bar in the ring, with n and VWAP", string(m[1]), "24")
	return nil
}
