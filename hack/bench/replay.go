package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// replayed lets the program replay n trades in 500 symbols as fast as it goes and divides by
// the CPU that the process used, its start and end included.
func replayed(root string, n int) error {
	dir, err := os.MkdirTemp("", "marketstream-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, "marketstream")
	build := exec.Command("go", "build", "-o", bin, "./cmd/marketstream")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := writeTrades(filepath.Join(dir, "trades.csv"), n); err != nil {
		return err
	}
	symbols := make([]string, 500)
	for i := range symbols {
		symbols[i] = symbol(i)
	}
	doc := fmt.Sprintf("apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: bench}\nspec:\n  symbols: [%s]\n  timeframes: [1m, 5m, 15m, 1h]\n  feed: {replay: {path: %q, speed: Max, rebase: Keep}}\n",
		strings.Join(symbols, ", "), filepath.Join(dir, "trades.csv"))
	if err := os.WriteFile(filepath.Join(dir, "bench.yaml"), []byte(doc), 0o600); err != nil {
		return err
	}
	inside, err := freePort()
	if err != nil {
		return err
	}
	cmd := exec.Command(bin, "run", "-f", filepath.Join(dir, "bench.yaml"), "--listen", "127.0.0.1:0", "--internal-listen", inside, "--log-level", "error")
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for limit := time.Now().Add(5 * time.Minute); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		m := metricsOf("http://" + inside + "/metrics")
		if m["feed_ticks_total"] < float64(n) || m["bars_closed_total"] == 0 {
			continue
		}
		row("ticks per CPU-second, replay → TICKS → bars → BARS", fmt.Sprintf("%.0f", float64(n)/m["process_cpu_seconds_total"]), "1000000")
		return nil
	}
	return fmt.Errorf("the replay did not end")
}

func symbol(i int) string { return fmt.Sprintf("S%03d", i) }

// writeTrades makes a file of trades: a walk for each symbol, 10,000 trades a second.
func writeTrades(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 1))
	prices := make([]int64, 500)
	for i := range prices {
		prices[i] = 1000 + rnd.Int64N(50_000)
	}
	line := []byte("symbol,ts,price,size,side,id\n")
	for i := range n {
		if _, err := out.Write(line); err != nil {
			return err
		}
		s := rnd.IntN(500)
		prices[s] = max(100, prices[s]+rnd.Int64N(5)-2)
		line = append(line[:0], symbol(s)...)
		line = append(strconv.AppendInt(append(line, ','), 1_709_649_000_000+int64(i)/10, 10), ',')
		line = strconv.AppendInt(line, prices[s]/100, 10)
		line = append(line, '.', byte('0'+prices[s]/10%10), byte('0'+prices[s]%10), ',')
		line = append(strconv.AppendInt(line, 1+rnd.Int64N(500), 10), ",buy,"...)
		line = append(strconv.AppendInt(line, int64(i+1), 10), '\n')
	}
	if _, err := out.Write(line); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

var sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$`)

// metricsOf reads metrics, summed over their labels; empty where nothing answers yet.
func metricsOf(url string) map[string]float64 {
	sums := make(map[string]float64)
	res, err := http.Get(url)
	if err != nil {
		return sums
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	for _, m := range sample.FindAllSubmatch(body, -1) {
		v, _ := strconv.ParseFloat(string(m[2]), 64)
		sums[string(m[1])] += v
	}
	return sums
}
