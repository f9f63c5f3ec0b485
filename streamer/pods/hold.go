package pods

import (
	"fmt"
	"time"
)

// Drain is the value of drain.<pod>: a pod lets its clients go.
type Drain struct {
	Pod     string `json:"pod"`
	AtMs    int64  `json:"at"`      // Unix ms
	Leaving int    `json:"leaving"` // its clients then
	Others  int    `json:"others"`  // those that all other pods had then
}

const (
	// holdFor is how long a drain holds new pods back at most.
	holdFor = 2 * time.Minute
	// keepDrains is after how long whoever sees a drain removes it.
	keepDrains = 10 * time.Minute
)

// Hold says why a pod that is new is not ready yet, though it is warm: another drains, or
// fewer than 90 % of the clients that one let go are back. "": it may be ready. With this a
// Deployment that adds one pod and takes one away rolls at the pace of the clients by itself.
// There is no hold where no other pod serves, one that neither drains nor holds.
func Hold(self string, now time.Time, drains []Drain, pods []Announcement) string {
	serving := false
	connections := make(map[string]int, len(pods))
	draining := make(map[string]bool)
	total := 0
	for i := range pods {
		p := &pods[i]
		connections[p.Pod] = p.Connections
		total += p.Connections
		draining[p.Pod] = p.State == Draining
		serving = serving || p.Pod != self && p.State == Warm && !p.Holding
	}
	if !serving {
		return ""
	}
	for _, d := range drains {
		age := now.Sub(time.UnixMilli(d.AtMs))
		if d.Pod == self || age < -holdFor || age >= holdFor {
			continue
		}
		if draining[d.Pod] {
			return d.Pod + " drains"
		}
		if back := total - connections[d.Pod] - d.Others; back*10 < d.Leaving*9 {
			return fmt.Sprintf("%d of the %d clients that %s let go are back", max(0, back), d.Leaving, d.Pod)
		}
	}
	return ""
}
