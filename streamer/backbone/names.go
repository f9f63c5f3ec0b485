package backbone

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// names are the subjects and streams of one MarketStream.
type names struct {
	prefix string
	bars   [market.Partitions]string
	ticks  [market.Partitions]string
	state  [market.Partitions]string
	ask    [market.Partitions]string
	owner  string
	ctl    string // before a key
	pods   string
}

func newNames(prefix string) *names {
	n := &names{prefix: prefix, owner: prefix + ".bars.owner", ctl: prefix + ".ctl.", pods: prefix + ".pods"}
	for p := range market.Partitions {
		s := strconv.Itoa(p)
		n.bars[p] = n.prefix + ".bars." + s
		n.ticks[p] = n.prefix + ".ticks." + s
		n.state[p] = n.prefix + ".state." + s
		n.ask[p] = n.prefix + ".ask." + s
	}
	return n
}

// barsSubject is the subject of a partition, or the owner's; "" if there is none such.
func (n *names) barsSubject(partition int) string {
	switch {
	case partition == logs.OwnerSubject:
		return n.owner
	case partition >= 0 && partition < market.Partitions:
		return n.bars[partition]
	}
	return ""
}

// partition is the way back; ok is false for a subject that is none of ours.
func (n *names) partition(subject string) (p int, ok bool) {
	if subject == n.owner {
		return logs.OwnerSubject, true
	}
	p, err := strconv.Atoi(subject[strings.LastIndexByte(subject, '.')+1:])
	return p, err == nil && n.barsSubject(p) == subject && p >= 0
}

func (n *names) barsStream(o Options) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: "BARS_" + n.prefix, Subjects: []string{n.prefix + ".bars.*"},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxAge: o.Retention, MaxBytes: o.MaxBytes, MaxConsumers: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1, Replicas: 1,
	}
	if o.Dir == "" {
		c.Storage = jetstream.MemoryStorage
	}
	return c
}

func (n *names) ticksStream(o Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "TICKS_" + n.prefix, Subjects: []string{n.prefix + ".ticks.*"},
		Storage: jetstream.MemoryStorage, Discard: jetstream.DiscardOld,
		MaxAge: o.TicksAge, MaxBytes: o.TicksBytes, MaxConsumers: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1, Replicas: 1,
	}
}

// ctlBytes bounds CTL.
const ctlBytes = 16 << 20

func (n *names) ctlStream(o Options) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: "CTL_" + n.prefix, Subjects: []string{n.prefix + ".ctl.>"},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxBytes: ctlBytes, MaxConsumers: -1, MaxMsgs: -1, MaxMsgsPerSubject: 1, Replicas: 1,
	}
	if o.Dir == "" {
		c.Storage = jetstream.MemoryStorage
	}
	return c
}
