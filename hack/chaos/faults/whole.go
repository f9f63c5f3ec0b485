package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/system"
)

var wholeFaults = []Kind{
	{Name: "restart-all", weight: 2, do: restartAll},
	{Name: "disk-full", weight: 3, needs: func(s *system.System) bool { return s.StoreSize > 0 }, do: diskFull},
	{Name: "rewind", weight: 3, long: true, do: rewind},
}

// restartAll kills everything and starts it again.
func restartAll(ctx context.Context, e *Env, r *rand.Rand) {
	pods, wait := e.Running(), between(r, 0, 4*time.Second)
	e.say("kill -9 everything, again in %s", wait)
	for _, p := range pods {
		p.Kill()
	}
	for _, n := range e.Nodes {
		n.Kill()
	}
	e.Sleep(ctx, wait)
	for _, n := range e.Nodes {
		e.start(n.Start())
	}
	for _, p := range pods {
		e.start(p.Start())
	}
}

const ballast = "ballast"

// diskFull fills the file system of one node, or of all, and makes room again.
func diskFull(ctx context.Context, e *Env, r *rand.Rand) {
	all, at, d := r.IntN(2) == 0, r.IntN(3), between(r, 2*time.Second, 12*time.Second)
	e.say("the disk is full for %s: of all nodes: %v, else of node-%d", d, all, at%len(e.Nodes))
	for i, n := range e.Nodes {
		if all || i == at%len(e.Nodes) {
			if err := fill(filepath.Join(n.Store, ballast)); err != nil {
				e.Bad("chaos", "the disk is not filled: "+err.Error())
			}
		}
	}
	e.Sleep(ctx, d)
	for _, n := range e.Nodes {
		_ = os.Remove(filepath.Join(n.Store, ballast))
	}
	e.say("the disk has room again")
}

// fill writes a file until there is no more room.
func fill(path string) (err error) {
	f, err := os.Create(path) //nolint:gosec // ours
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, 1<<20)
	for len(block) >= 512 {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
	}
	return nil
}

// rewind puts an older copy of every node's store in place, as if the disks had lost what came after.
func rewind(ctx context.Context, e *Env, r *rand.Rand) {
	age := between(r, 3*time.Second, 40*time.Second)
	copies := filepath.Join(e.Dir, "older")
	_ = os.RemoveAll(copies)
	e.say("the nodes stop, their stores are copied")
	e.stopNodes()
	for _, n := range e.Nodes {
		if err := os.CopyFS(filepath.Join(copies, n.Name()), os.DirFS(n.Store)); err != nil {
			e.Bad("chaos", "a store is not copied: "+err.Error())
			return
		}
	}
	e.startNodes()
	e.Sleep(ctx, age)
	e.say("the nodes stop, and go on with copies that are %s old", age)
	e.stopNodes()
	e.Rewinds.Add(1)
	for _, n := range e.Nodes {
		if err := errors.Join(empty(n.Store), os.CopyFS(n.Store, os.DirFS(filepath.Join(copies, n.Name())))); err != nil {
			e.Bad("chaos", "an older store is not put in place: "+err.Error())
		}
	}
	e.startNodes()
}

func (e *Env) stopNodes() {
	for _, n := range e.Nodes {
		n.Kill()
	}
}

func (e *Env) startNodes() {
	for _, n := range e.Nodes {
		e.start(n.Start())
	}
}

// empty removes what is in a directory, not the directory: something may be mounted there.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, x := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, x.Name())))
	}
	return err
}
