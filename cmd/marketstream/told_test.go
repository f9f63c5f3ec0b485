package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/marketstream/marketstream/streamer/logs"
)

// tellLogs logs what the end of BARS and TICKS of some partitions holds, for whoever has to find out why a test failed.
func (c *cluster) tellLogs(name string, partitions ...int) {
	c.t.Helper()
	b := c.logsOf(name)
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	for _, p := range partitions {
		var out []string
		err := b.Bars().Read(ctx, 1, func(e logs.Entry) error {
			f, err := logs.DecodeFrame(e.Data)
			if err != nil || int(f.Partition) != p {
				return err
			}
			line := fmt.Sprintf("seq %d kind %v frame %d token %d watermark %d applied %+v open %+v:", e.Seq, f.Kind, f.Number, f.Token, f.Watermark, f.Applied, f.Open)
			for _, r := range f.Records {
				line += fmt.Sprintf(" [%s %s %d rev %d n %d %v]", f.Symbols[r.Symbol], r.Timeframe, r.StartMs/60_000, r.Rev, r.N, r.Flags)
			}
			for _, g := range f.Gaps {
				line += fmt.Sprintf(" gap %+v", g)
			}
			out = append(out, line)
			return nil
		})
		c.t.Logf("BARS of %d: %v\n%s", p, err, strings.Join(out[max(0, len(out)-60):], "\n"))
		out = nil
		err = b.Ticks().Read(ctx, p, func(data []byte) error {
			var m logs.Batch
			if err := logs.DecodeBatch(data, &m); err != nil {
				return err
			}
			line := fmt.Sprintf("token %d number %d watermark %d entries %d", m.Token, m.Number, m.Watermark, len(m.Entries))
			if n := len(m.Entries); n > 0 {
				line += fmt.Sprintf(": %+v … %+v", m.Entries[0], m.Entries[n-1])
			}
			out = append(out, line)
			return nil
		})
		c.t.Logf("TICKS of %d: %v\n%s", p, err, strings.Join(out[max(0, len(out)-1500):], "\n"))
	}
}
