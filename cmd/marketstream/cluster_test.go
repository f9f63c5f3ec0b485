package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/backbone"
)

// cluster is a backbone and the streamers of one MarketStream, as processes.
type cluster struct {
	t      testing.TB
	node   *node
	config string // directory
	pods   []*process
	made   int
}

// startCluster starts a backbone, with args, and n streamers that run doc.
func startCluster(t testing.TB, doc string, n int, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, config: t.TempDir()}
	c.document(doc, 1)
	c.node = alone(t, args...)
	c.node.start()
	c.node.ready()
	for range n {
		c.add()
	}
	return c
}

// document puts a document and its generation in place, as a ConfigMap is: both at once.
func (c *cluster) document(doc string, generation int) {
	c.t.Helper()
	for name, text := range map[string]string{documentFile: doc, generationFile: fmt.Sprintf(`{"createdMs":1,"generation":%d}`, generation)} {
		if err := os.WriteFile(filepath.Join(c.config, name), []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// podServes is the log line of a streamer that serves.
var podServes = regexp.MustCompile(`\tserving\t\{"public": "([^"]+)", "internal": "([^"]+)"\}`)

// launch starts a streamer, and does not wait until it serves.
func (c *cluster) launch(name string, args ...string) (p *process, serves <-chan struct{}) {
	c.t.Helper()
	p = &process{name: name}
	served := make(chan struct{})
	var once sync.Once
	begin(c.t, p, func(line string) {
		if m := podServes.FindStringSubmatch(line); m != nil {
			p.url, p.internal = "http://"+m[1], "http://"+m[2]
			once.Do(func() { close(served) })
		}
	}, append([]string{"streamer", "--config", c.config, "--backbone", "nats://" + c.node.listen, "--backbone-credentials", c.node.credentials(),
		"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--pod", name, "--drain", "1s", "--log-format", "console"}, args...)...)
	c.pods = append(c.pods, p)
	return p, served
}

// pod starts a streamer and waits until it serves.
func (c *cluster) pod(name string, args ...string) *process {
	c.t.Helper()
	p, serves := c.launch(name, args...)
	select {
	case <-serves:
	case <-p.ended:
		c.t.Fatalf("%s ended before it served: %v", name, p.err)
	case <-time.After(guard):
		c.t.Fatalf("%s neither serves nor ends", name)
	}
	return p
}

// add starts one more streamer and waits until it serves.
func (c *cluster) add(args ...string) *process {
	c.t.Helper()
	c.made++
	return c.pod(fmt.Sprintf("pod%d-aaaaaaaa", c.made), args...)
}

// remove takes a pod out of those that are asked.
func (c *cluster) remove(p *process) {
	c.pods = slices.DeleteFunc(c.pods, func(q *process) bool { return q == p })
}

// reported reads a pod's /status; ok is false if it does not answer.
func (p *process) reported() (r podreport.Report, ok bool) {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(p.internal + "/status")
	if err != nil {
		return r, false
	}
	defer func() { _ = res.Body.Close() }()
	return r, json.NewDecoder(res.Body).Decode(&r) == nil
}

// report reads what a pod says of itself.
func (p *process) report() (r podreport.Report) {
	p.t.Helper()
	if err := json.Unmarshal(p.get(p.internal, "/status", http.StatusOK), &r); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// holders returns who writes each partition that has symbols, once each has one holder and nothing moves.
func (c *cluster) holders(partitions ...int) map[int]*process {
	c.t.Helper()
	var by map[int]*process
	eventually(c.t, "every partition has one holder", func() bool {
		by = make(map[int]*process)
		for _, p := range c.pods {
			r, ok := p.reported()
			if !ok || len(r.Moves) > 0 {
				return false
			}
			for _, x := range r.Partitions {
				if by[x.ID] != nil {
					return false
				}
				by[x.ID] = p
			}
		}
		for _, p := range partitions {
			if by[p] == nil {
				return false
			}
		}
		return true
	})
	return by
}

// caughtUp waits until whoever holds partitions has come to the present.
func (c *cluster) caughtUp() {
	c.t.Helper()
	c.holders(fastPartitions()...)
	eventually(c.t, "the feed has come to the present", func() bool {
		for _, p := range c.pods {
			if r, ok := p.reported(); !ok || len(r.Partitions) > 0 && r.Feed.State != "connected" {
				return false
			}
		}
		return true
	})
}

// logsOf opens the cluster's logs, to look at them.
func (c *cluster) logsOf(name string) *backbone.Backbone {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard) // also in a cleanup
	defer cancel()
	b, err := backbone.Connect(ctx, backbone.RemoteOptions{Namespace: "default", Name: name, URLs: []string{"nats://" + c.node.listen}, Credentials: c.node.credentials(), Log: logr.Discard()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = b.Close() })
	return b
}

// spread waits until rings are as n pods are to have them.
func (c *cluster) spread(n int, rings int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d pods have %d rings together", n, rings), func() bool {
		held, sets := 0, map[string]bool{}
		for _, p := range c.alive() {
			r := p.report().Rings
			if r.Held != r.Wanted || r.Loaded != r.Set {
				return false
			}
			held += r.Held
			sets[r.Set] = true
		}
		return held == rings && len(sets) == 1 && len(c.alive()) == n
	})
}

// allRead waits until what every pod invents has come to the present, and has been read by all.
func (c *cluster) allRead() {
	c.t.Helper()
	last := uint64(0)
	eventually(c.t, "the invented past is there", func() bool {
		for _, p := range c.alive() {
			r := p.report()
			if len(r.Partitions) == 0 {
				return false
			}
			for _, x := range r.Partitions {
				last = max(last, x.LastSeq)
				if x.Symbols > 0 && time.Now().UnixMilli()-x.WatermarkMs > 60_000 {
					return false
				}
			}
		}
		return true
	})
	eventually(c.t, "every pod has read it", func() bool {
		for _, p := range c.alive() {
			if p.report().Log.AppliedSeq < last {
				return false
			}
		}
		return true
	})
}

// alive are the pods whose processes have not ended.
func (c *cluster) alive() (out []*process) {
	for _, p := range c.pods {
		select {
		case <-p.ended:
		default:
			out = append(out, p)
		}
	}
	return out
}

// seed reads what a stream begins with: the bars up to the first bare id, as text.
func (p *process) seed(query url.Values) (bars []string, err error) {
	c, err := connect(p.url, query, "")
	if err != nil {
		return nil, err
	}
	defer c.close()
	for {
		e, err := c.Next()
		if err != nil {
			return nil, err
		}
		switch {
		case e.Type == "bar" && e.ID == "":
			bars = append(bars, e.Data)
		case e.ID != "": // the first thing after the bare id
			return bars, nil
		}
	}
}

// metric is the sum of a metric's lines that contain some words.
func (p *process) metric(name string, words ...string) (sum float64) {
	p.t.Helper()
lines:
	for line := range strings.SplitSeq(string(p.get(p.internal, "/metrics", http.StatusOK)), "\n") {
		if !strings.HasPrefix(line, name) {
			continue
		}
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil {
			sum += v
		}
	}
	return sum
}
