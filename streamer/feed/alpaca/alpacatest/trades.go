package alpacatest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/vendortest"
)

// Fault is what happens to trades on their way to the sockets; REST has them as they are.
type Fault struct {
	Skip      bool // they are not sent
	Duplicate bool // each frame is sent twice
	Backwards bool // they are sent in the opposite order
}

// Trade makes n trades of a symbol and sends them.
func (v *Vendor) Trade(symbol string, n int, how vendortest.How, f Fault) ([]vendortest.Trade, error) {
	trades, err := v.Make(symbol, n, how)
	if err != nil {
		return nil, err
	}
	if f.Skip {
		return trades, nil
	}
	for from := 0; from < n; from += v.opts.Batch {
		part := trades[from:min(from+v.opts.Batch, n)]
		var texts []string
		for i := range part {
			t := &part[i]
			if f.Backwards {
				t = &part[len(part)-1-i]
			}
			texts = append(texts, v.message(t))
		}
		v.send(symbol, texts)
		if f.Duplicate {
			v.send(symbol, texts)
		}
		v.with(func() { v.stats.Sent += uint64(len(part)) })
	}
	return trades, nil
}

func (v *Vendor) send(symbol string, texts []string) {
	frame := []byte("[" + strings.Join(texts, ",") + "]")
	for _, c := range v.subscribed(symbol) {
		c.Send(frame)
	}
}

// stamp is a time as the vendor writes it.
func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// letters of conditions at UTP, by unified id.
var letters = map[int]string{0: "@", 2: "W", 8: "6", 12: "T", 14: "F", 15: "M", 16: "Q", 25: "O", 32: "Z", 37: "I"}

func conditions(ids []int) string {
	all := []string{"@"}
	for _, id := range ids {
		if id != 0 {
			all = append(all, letters[id])
		}
	}
	text, _ := json.Marshal(all)
	return string(text)
}

// exchange is an exchange's letter; what was traded off an exchange has D.
func exchange(t *vendortest.Trade) string {
	if t.Facility > 0 {
		return "D"
	}
	return string(rune('E' + t.Exchange))
}

// body is what a trade has on the socket and on a page.
func (v *Vendor) body(t *vendortest.Trade) string {
	if v.opts.Crypto {
		return fmt.Sprintf(`"p":%s,"s":%s,"t":%q,"i":%d,"tks":"%c"`, t.Price, t.Size, stamp(t.TimeNs), t.ID, "BS"[t.ID%2])
	}
	return fmt.Sprintf(`"i":%d,"x":%q,"p":%s,"s":%s,"t":%q,"c":%s,"z":"C"`, t.ID, exchange(t), t.Price, t.Size, stamp(t.TimeNs), conditions(t.Conditions))
}

func (v *Vendor) message(t *vendortest.Trade) string {
	return fmt.Sprintf(`{"T":"t","S":%q,%s}`, t.Symbol, v.body(t))
}

// Cancelled takes a trade back and says so.
func (v *Vendor) Cancelled(symbol string, id uint64) (vendortest.Trade, error) {
	t, err := v.Cancel(symbol, id)
	if err == nil {
		v.send(symbol, []string{fmt.Sprintf(`{"T":"x","S":%q,"i":%d,"x":%q,"p":%s,"s":%s,"a":"C","z":"C","t":%q}`, symbol, t.ID, exchange(&t), t.Price, t.Size, stamp(t.TimeNs))})
	}
	return t, err
}

// Corrected has a trade at another price take the place of one, and says so.
func (v *Vendor) Corrected(symbol string, id uint64) (was, now vendortest.Trade, err error) {
	was, now, err = v.Correct(symbol, id)
	if err == nil {
		v.send(symbol, []string{fmt.Sprintf(`{"T":"c","S":%q,"x":%q,"oi":%d,"op":%s,"os":%s,"oc":%s,"ci":%d,"cp":%s,"cs":%s,"cc":%s,"z":"C","t":%q}`, symbol, exchange(&was),
			was.ID, was.Price, was.Size, conditions(was.Conditions), now.ID, now.Price, now.Size, conditions(now.Conditions), stamp(was.TimeNs))})
	}
	return was, now, err
}

// Halt says that a symbol is halted, or trades again.
func (v *Vendor) Halt(symbol string, on bool) {
	state := `"sc":"T","sm":"Trading Resumption","rc":"","rm":""`
	if on {
		state = `"sc":"H","sm":"Trading Halt","rc":"LUDP","rm":"Volatility Trading Pause"`
	}
	v.Raw(fmt.Appendf(nil, `[{"T":"s","S":%q,%s,"t":%q,"z":"C"}]`, symbol, state, stamp(v.Now().UnixNano())))
}
