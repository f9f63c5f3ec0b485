package stream

import (
	"strconv"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// appendID appends an id line, without the empty line that ends a block.
func appendID(dst []byte, epoch string, seq uint64, index int32, tag uint32) []byte {
	dst = append(dst, "id: "...)
	dst = logs.Cursor{Epoch: epoch, Seq: seq, Index: int(index), Tag: tag}.AppendTo(dst)
	return append(dst, '\n')
}

// text is the event as clients get it, encoded once.
func (h *Hub) text(e *entry, i int32) []byte {
	ev := &e.events[i]
	if t := ev.text.Load(); t != nil {
		return *t
	}
	name := h.opts.Symbols.Name(ev.symbol)
	dst := make([]byte, 0, 320)
	if ev.gap != nil {
		dst = append(dst, "event: gap\n"...)
		dst = appendID(dst, h.opts.Epoch, e.seq, i, e.tag)
		dst = appendGap(append(dst, "data: "...), name, ev.gap)
	} else {
		dst = append(dst, "event: bar\n"...)
		dst = appendID(dst, h.opts.Epoch, e.seq, i, e.tag)
		dst = ev.bar.AppendJSON(append(dst, "data: "...), name)
	}
	dst = append(dst, "\n\n"...)
	ev.text.Store(&dst) // another loop may have made the same text
	return dst
}

// dropTexts has the texts of some symbols' events made again.
func (t *tail) dropTexts(symbols []uint32) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var of []int32
	for _, entries := range [...][]*entry{t.entries, t.window} {
		for _, e := range entries {
			for _, s := range symbols {
				for _, i := range e.of(s, of[:0]) {
					e.events[i].text.Store(nil)
				}
			}
		}
	}
}

// dropTexts has the texts of some symbols' states made again.
func (s *states) dropTexts(symbols []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, symbol := range symbols {
		c := s.cell(symbol)
		if c == nil {
			continue
		}
		if old := c.snap.Load(); old != nil {
			c.snap.Store(&snapshot{version: old.version, state: old.state})
		}
	}
}

func appendGap(dst []byte, name string, g *market.Gap) []byte {
	dst = market.AppendJSONString(append(dst, `{"symbol":`...), name)
	dst = strconv.AppendInt(append(dst, `,"fromMs":`...), g.FromMs, 10)
	dst = strconv.AppendInt(append(dst, `,"toMs":`...), g.ToMs, 10)
	dst = strconv.AppendInt(append(dst, `,"fromSeq":`...), market.Seq(g.FromMs), 10)
	last := g.ToMs
	if g.ToMs > g.FromMs {
		last--
	}
	dst = strconv.AppendInt(append(dst, `,"toSeq":`...), market.Seq(last), 10)
	dst = append(append(dst, `,"state":"`...), g.State.String()...)
	dst = append(append(dst, `","reason":"`...), g.Reason.String()...)
	return append(dst, `"}`...)
}

// appendBarEvent appends a bar without an id: of a seed, a fill, a snapshot.
func appendBarEvent(dst []byte, b *market.Bar, name string) []byte {
	dst = append(dst, "event: bar\ndata: "...)
	dst = b.AppendJSON(dst, name)
	return append(dst, "\n\n"...)
}

func appendMicrobar(dst []byte, s *market.State, name string) []byte {
	dst = append(dst, "event: microbar\ndata: {\"symbol\":"...)
	dst = market.AppendJSONString(dst, name)
	dst = strconv.AppendInt(append(dst, `,"ts":`...), s.TsMs, 10)
	dst = s.Micro.AppendOHLCV(append(dst, `,"ohlcv":`...))
	dst = strconv.AppendInt(append(dst, `,"bar_start":`...), s.Micro.StartMs, 10)
	return append(dst, "}\n\n"...)
}

func appendForming(dst []byte, b *market.Bar, name string) []byte {
	dst = append(dst, "event: forming\ndata: "...)
	dst = b.AppendJSON(dst, name)
	return append(dst, "\n\n"...)
}

func appendTick(dst []byte, e *market.Entry, name string) []byte {
	dst = append(dst, "event: tick\ndata: {\"symbol\":"...)
	dst = market.AppendJSONString(dst, name)
	dst = strconv.AppendInt(append(dst, `,"ts":`...), e.Time/1e6, 10)
	dst = e.Price.Append(append(dst, `,"price":`...))
	dst = e.Size.Append(append(dst, `,"size":`...))
	if e.Side != market.SideUnknown {
		dst = append(append(append(dst, `,"side":"`...), e.Side.String()...), '"')
	}
	return append(dst, "}\n\n"...)
}

func appendPing(dst []byte, nowMs int64, buffered, dropped int) []byte {
	dst = strconv.AppendInt(append(dst, "event: ping\ndata: {\"ts\":"...), nowMs, 10)
	dst = strconv.AppendInt(append(dst, `,"buffered":`...), int64(buffered), 10)
	dst = strconv.AppendInt(append(dst, `,"dropped":`...), int64(dropped), 10)
	return append(dst, "}\n\n"...)
}
