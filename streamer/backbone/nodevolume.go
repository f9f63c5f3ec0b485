package backbone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// onVolume reports an error if dir lies on the root file system: its volume is not mounted.
func onVolume(dir string) error {
	here, err := deviceOf(dir)
	if err != nil {
		return err
	}
	root, err := deviceOf(string(os.PathSeparator))
	if err != nil {
		return err
	}
	if here == root {
		return errors.New("store " + dir + " lies on the root file system: want it on a volume of its own, which seems not to be mounted")
	}
	return nil
}

// fitStore is the most that JetStream may store: what was asked for, and never more than 80 %
// of what the volume has for it.
func (n *Node) fitStore() (int64, error) {
	free, err := n.free(n.o.Store)
	if err != nil {
		return 0, err
	}
	used, err := dirBytes(n.o.Store)
	if err != nil {
		return 0, err
	}
	most := (free + used) / 5 * 4
	if n.o.MaxStore > most {
		n.o.Log.Info("less is stored than asked for: the volume has no more", "store", n.o.Store, "asked", n.o.MaxStore, "bytes", most)
	}
	if n.o.MaxStore > 0 {
		most = min(most, n.o.MaxStore)
	}
	if most < 2*slack {
		return 0, fmt.Errorf("store %s: %d bytes may be stored (80 %% of the volume): want at least %d", n.o.Store, most, 2*slack)
	}
	return most, nil
}

// barsBytes is the room for BARS beside the rest.
func (n *Node) barsBytes() int64 { return n.maxStore - slack }

// roomToMove returns an error if the volume has no room for another copy of what is stored.
func (n *Node) roomToMove(state nodeState) error {
	need, err := dirBytes(storeDir(n.o.Store, state.Generation))
	if err != nil {
		return err
	}
	there, err := dirBytes(storeDir(n.o.Store, state.Move.To))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	free, err := n.free(n.o.Store)
	if err != nil {
		return err
	}
	if free+there < need+2*reserve {
		return fmt.Errorf("the volume of %s has %d MiB free: a second copy of what is stored takes %d MiB", n.o.Store, free>>20, (need+2*reserve)>>20)
	}
	return nil
}

// guard keeps the node from running into a full disk, which JetStream does not survive: below
// the reserve appends are refused, and a server that stopped storing all the same is started
// again once there is space.
func (n *Node) guard(ctx context.Context) {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	var again restarts
	blind := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := n.serving()
		if s == nil {
			continue
		}
		free, err := n.free(n.o.Store)
		if err != nil && !blind {
			n.o.Log.Error(err, "the volume is not looked at")
		}
		if blind = err != nil; !blind {
			n.guardServer(s, free, &again)
		}
	}
}

func (n *Node) guardServer(s *nodeServer, free int64, again *restarts) {
	n.mu.Lock()
	was := n.full
	n.mu.Unlock()
	why := ""
	broken := s.broken()
	if broken == "" {
		again.well(time.Now())
	}
	switch {
	case broken != "" && free >= 2*reserve && again.due(time.Now()):
		s.halt()
		if err := s.start(); err != nil {
			n.o.Log.Error(err, "the NATS server does not start again")
			why = err.Error()
		} else {
			n.o.Log.Info("the NATS server was started again", "reason", broken)
		}
	case broken != "":
		if why = broken; s.server() == nil && was != "" {
			why = was // why it does not start
		}
	case free < reserve || was != "" && free < 2*reserve:
		why = fmt.Sprintf("the volume of %s has %d MiB free, %d MiB are wanted: appends are refused", n.o.Store, free>>20, reserve>>20)
	}
	if (why != "") != (was != "") || why == "" && broken != "" {
		s.freeze(why != "")
		if why != "" {
			n.o.Log.Error(nil, why)
		} else {
			n.o.Log.Info("the volume has space again: appends are taken")
		}
	}
	n.mu.Lock()
	n.full = why
	n.mu.Unlock()
}

// broken returns why the server no longer stores, "" if it does.
func (s *nodeServer) broken() string {
	srv := s.server()
	if srv == nil {
		return "the NATS server is stopped"
	}
	if !srv.Running() {
		return ""
	}
	if !srv.JetStreamEnabled() {
		return "JetStream has stopped"
	}
	for _, e := range srv.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(e.Error, "write error") {
			return e.Error
		}
	}
	return ""
}

// freeze has the server refuse appends to files, or take them again. What another node
// leads and sends here is stored all the same.
func (s *nodeServer) freeze(on bool) {
	srv := s.server()
	if srv == nil {
		return
	}
	limits := server.JetStreamAccountLimits{MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: -1, MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1}
	if on {
		limits.MaxStore = 1
	}
	account, err := srv.LookupAccount(server.DEFAULT_GLOBAL_ACCOUNT)
	if err == nil {
		err = account.UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits})
	}
	if err != nil && srv.JetStreamEnabled() {
		s.n.o.Log.Error(err, "the limits stay as they were", "frozen", on)
	}
}
