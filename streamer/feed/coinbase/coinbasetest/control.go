package coinbasetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// args reads the query of a command, and keeps the first thing that is wrong with it.
type args struct {
	q   url.Values
	err error
}

func (a *args) text(name string) string { return a.q.Get(name) }

func (a *args) int(name string) int {
	text := a.q.Get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%s=%q: want a whole number", name, text)
	}
	return n
}

func (a *args) id(name string) uint64 { return uint64(max(a.int(name), 0)) }

func (a *args) duration(name string) time.Duration {
	text := a.q.Get(name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%s=%q: want a duration as in 1.5s", name, text)
	}
	return d
}

// commands are the faults by HTTP: POST /control/<name>?<arguments>. Each reads its
// arguments first; what it returns is done if they were right.
var commands = map[string]func(v *Vendor, a *args) func() error{
	"limit": func(v *Vendor, a *args) func() error { // n, how
		n, how := a.int("n"), LimitHow(a.text("how"))
		return quiet(func() { v.LimitConnections(n, how) })
	},
	"limit-subscriptions": func(v *Vendor, a *args) func() error { // n
		n := a.int("n")
		return quiet(func() { v.LimitSubscriptions(n) })
	},
	"drop": func(v *Vendor, _ *args) func() error { return quiet(v.DropAll) },
	"die":  func(v *Vendor, _ *args) func() error { return quiet(v.Die) },
	"refuse": func(v *Vendor, a *args) func() error { // for, status
		d, status := a.duration("for"), a.int("status")
		return quiet(func() { v.RefuseFor(d, status) })
	},
	"cut": func(v *Vendor, a *args) func() error { // bytes, connections
		n, c := a.int("bytes"), a.int("connections")
		return quiet(func() { v.CutAfter(int64(n), c) })
	},
	"heartbeats": func(v *Vendor, a *args) func() error { // on: true or false
		on := a.text("on") != "false"
		return quiet(func() { v.Heartbeats(on) })
	},
	"answers": func(v *Vendor, a *args) func() error { // on: true or false
		on := a.text("on") != "false"
		return quiet(func() { v.Answers(on) })
	},
	"pongs": func(v *Vendor, a *args) func() error { // on: true or false
		on := a.text("on") != "false"
		return quiet(func() { v.Pongs(on) })
	},
	"skip":      counted((*Vendor).Skip), // product, n
	"duplicate": counted((*Vendor).Duplicate),
	"disorder":  counted((*Vendor).Disorder),
	"make":      counted((*Vendor).Make),
	"late": func(v *Vendor, a *args) func() error { // product, n, by
		p, n, by := a.text("product"), a.int("n"), a.duration("by")
		return func() error { return v.Late(p, n, by) }
	},
	"burst": func(v *Vendor, a *args) func() error { // product, n, over
		p, n, over := a.text("product"), a.int("n"), a.duration("over")
		return func() error { return v.Burst(p, n, over) }
	},
	"skew": func(v *Vendor, a *args) func() error { // by
		d := a.duration("by")
		return quiet(func() { v.Skew(d) })
	},
	"error": func(v *Vendor, a *args) func() error { // message, reason
		m, r := a.text("message"), a.text("reason")
		return quiet(func() { v.Error(m, r) })
	},
	"huge": func(v *Vendor, a *args) func() error { // bytes
		n := a.int("bytes")
		return quiet(func() { v.Huge(n) })
	},
	"rest": func(v *Vendor, a *args) func() error { // the fields of RESTFault, in lower case
		f := RESTFault{Times: a.int("times"), Status: a.int("status"), RetryAfter: a.duration("retryafter"), Delay: a.duration("delay"),
			Drop: a.int("drop"), Hole: a.int("hole"), Cut: a.text("cut") == "true", Lag: a.duration("lag")}
		return quiet(func() { v.REST(f) })
	},
	"forget": func(v *Vendor, a *args) func() error { // product, from, to
		p, from, to := a.text("product"), a.id("from"), a.id("to")
		return func() error { return v.Forget(p, from, to) }
	},
}

func quiet(do func()) func() error {
	return func() error {
		do()
		return nil
	}
}

func counted(do func(*Vendor, string, int) error) func(*Vendor, *args) func() error {
	return func(v *Vendor, a *args) func() error {
		p, n := a.text("product"), a.int("n")
		return func() error { return do(v, p, n) }
	}
}

// wireTrade is a trade of the oracle as JSON.
type wireTrade struct {
	ID    uint64 `json:"id"`
	Time  int64  `json:"time_ns"`
	Price string `json:"price"`
	Size  string `json:"size"`
	Taker string `json:"taker"`
}

// control does commands, and answers GET /control/stats, /control/newest?product= and
// /control/trades?product=&after=&before= or &from=&to= (Unix ns).
func (v *Vendor) control(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/control/")
	a := &args{q: r.URL.Query()}
	var answer any
	var err error
	if r.Method == http.MethodPost {
		command := commands[name]
		if command == nil {
			say(w, http.StatusNotFound, fmt.Sprintf("no command %q", name))
			return
		}
		do := command(v, a)
		if err = a.err; err == nil {
			err = do()
		}
		answer = v.Stats()
	} else {
		answer, err = v.ask(name, a)
	}
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (v *Vendor) ask(name string, a *args) (any, error) {
	switch name {
	case "stats":
		return v.Stats(), nil
	case "newest":
		return v.Newest(a.text("product"))
	case "trades":
		p, after, before, from, to := a.text("product"), a.id("after"), a.id("before"), a.int("from"), a.int("to")
		if a.err != nil {
			return nil, a.err
		}
		var trades []Trade
		var err error
		if to > 0 {
			trades, err = v.TradesBetween(p, time.Unix(0, int64(from)), time.Unix(0, int64(to)))
		} else {
			trades, err = v.Trades(p, after, before)
		}
		out := make([]wireTrade, len(trades))
		for i, t := range trades {
			out[i] = wireTrade{t.ID, t.TimeNs, t.Price.String(), t.Size.String(), t.Taker.String()}
		}
		return out, err
	}
	return nil, fmt.Errorf("no question %q: want stats, newest or trades", name)
}
