package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/logs"
)

// mounted is a small file system of its own, in a file that may be copied as it stands.
type mounted struct {
	image, dir string
}

// mountImage mounts an image; "" makes one of size bytes. The reason says why there is none.
func mountImage(t *testing.T, image string, size int64) (m *mounted, reason string) {
	t.Helper()
	m = &mounted{image: image, dir: t.TempDir()}
	if os.Geteuid() != 0 {
		return nil, "mounting takes root"
	}
	if image == "" {
		m.image = filepath.Join(t.TempDir(), "disk.img")
		f, err := os.Create(m.image)
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", m.image).CombinedOutput(); err != nil {
			return nil, fmt.Sprintf("mkfs.ext4: %v: %s", err, out)
		}
	}
	if out, err := exec.Command("mount", "-o", "loop", m.image, m.dir).CombinedOutput(); err != nil {
		return nil, fmt.Sprintf("mount -o loop: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", m.dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return m, ""
}

// fill takes space at once until no more than leave bytes are free, before whoever looks
// from time to time sees it, and returns the file that has it.
func (m *mounted) fill(t *testing.T, leave int64) string {
	t.Helper()
	path := filepath.Join(m.dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := int64(0); ; {
		var s syscall.Statfs_t
		if err := syscall.Statfs(m.dir, &s); err != nil {
			t.Fatal(err)
		}
		more := int64(s.Bavail)*s.Bsize - leave
		if more <= 0 {
			return path
		}
		for err = syscall.ENOSPC; err == syscall.ENOSPC && more > 0; more /= 2 { //nolint:errorlint // as the kernel says it
			if err = syscall.Fallocate(int(f.Fd()), 0, size, more); err == nil {
				size += more
			}
		}
		if more == 0 {
			return path
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func smallStream(o *backbone.RemoteOptions) { o.MaxBytes, o.TicksBytes = 64<<20, 16<<20 }

// TestFullDisk fills the volume of a node: appends say that it is full, reads go on, and with
// space again appends are taken, also after the disk was full to the last byte.
func TestFullDisk(t *testing.T) {
	m, reason := mountImage(t, "", 400<<20)
	if m == nil {
		// The same by what the node is told of its volume: TestNodeGuard of package backbone.
		t.Skipf("NO FULL DISK HERE: %s; what a node does below its reserve is tested by TestNodeGuard of streamer/backbone", reason)
	}
	n := alone(t, "--on-volume")
	n.store = filepath.Join(m.dir, "store")
	n.start()
	t.Cleanup(n.kill) // before umount
	n.ready()
	b := dialNodes(t, []*node{n}, smallStream)
	c := &chain{t: t, log: b.Bars()}
	if err := c.add(t.Context(), []byte("before")); err != nil {
		t.Fatal(err)
	}
	for _, leave := range []int64{20 << 20, 0} {
		filler := m.fill(t, leave)
		full := 0
		for i := 0; full < 10; i++ { // until it is full for good
			data := make([]byte, 256<<10)
			seq, err := b.Bars().Append(t.Context(), 1, c.last, data)
			switch {
			case err == nil:
				c.last = seq
				c.data, c.at = append(c.data, data), append(c.at, seq)
			case errors.Is(err, logs.ErrFull):
				full++
			case errors.Is(err, logs.ErrUnavailable) && leave == 0:
				// Stored or not: what stands there says so.
				if e, err := b.Bars().Last(t.Context(), 1); err == nil && e.Seq != c.last {
					c.last = e.Seq
					c.data, c.at = append(c.data, data), append(c.at, e.Seq)
				}
				full++
			default:
				t.Fatalf("with %d bytes free: %v", leave, err)
			}
			if i > 2000 {
				t.Fatalf("with %d bytes free appends are taken", leave)
			}
		}
		if s := n.status(); s.Ready || s.Reason == "" {
			eventually(t, "its probe says so", func() bool { s = n.status(); return !s.Ready })
		}
		if leave > 0 {
			if e, err := b.Bars().Last(t.Context(), 1); err != nil || e.Seq != c.last {
				t.Errorf("a read while it is full: %+v %v", e, err)
			}
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it takes appends again", func() bool {
			seq, err := b.Bars().Append(t.Context(), 1, c.last, []byte("after"))
			if errors.Is(err, logs.ErrConflict) {
				t.Fatal(err)
			}
			if err == nil {
				c.last = seq
				c.data, c.at = append(c.data, []byte("after")), append(c.at, seq)
			}
			return err == nil
		})
		n.ready()
	}
	c.check(b.Bars())
}

// TestNotOnVolume: a node that is told that its store is on a volume refuses to start without one.
func TestNotOnVolume(t *testing.T) {
	root, here := deviceOf(t, "/"), deviceOf(t, t.TempDir())
	if root != here {
		t.Skip("temporary files are on a file system of their own here")
	}
	n := alone(t, "--on-volume")
	n.start()
	<-n.ended
	if code := n.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d:\n%s", code, n.text())
	}
}

func deviceOf(t *testing.T, path string) uint64 {
	t.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	return uint64(s.Dev) //nolint:unconvert // its type differs from system to system
}

// TestPowerCut copies the disk of a node as it stands, while it is written, and starts from
// the copy: every acknowledged entry must be there.
func TestPowerCut(t *testing.T) {
	m, reason := mountImage(t, "", 300<<20)
	if m == nil {
		t.Skipf("NO POWER CUT HERE: %s; that each write is synced is all that can be said", reason)
	}
	n := alone(t, "--on-volume")
	n.store = filepath.Join(m.dir, "store")
	n.start()
	t.Cleanup(n.kill)
	n.ready()
	b := dialNodes(t, []*node{n}, smallStream)
	c := &chain{t: t, log: b.Bars()}
	lost := 0
	for cut := range 3 {
		for i := range 100 {
			if err := c.add(t.Context(), fmt.Appendf(nil, "entry %d of %d", i, cut)); err != nil {
				t.Fatal(err)
			}
		}
		// Stopped, it writes nothing more while the copy is made; what the kernel has not
		// written yet is not in it.
		if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		image := filepath.Join(t.TempDir(), "copy.img")
		copyFile(t, m.image, image)
		if err := n.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		after, reason := mountImage(t, image, 0)
		if after == nil {
			t.Fatal(reason)
		}
		other := alone(t, "--on-volume")
		other.store = filepath.Join(after.dir, "store")
		other.start()
		t.Cleanup(other.kill)
		other.ready()
		(&chain{t: t, data: c.data, at: c.at}).check(dialNodes(t, []*node{other}, smallStream).Bars())
		if t.Failed() {
			lost++
		}
		other.kill()
	}
	t.Logf("%d cuts, %d lost something", 3, lost)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLatency prints what an append and a put take, with one node and with three.
func TestLatency(t *testing.T) {
	if testing.Short() {
		t.Skip("figures only")
	}
	for _, replicas := range []int{1, 3} {
		nodes := newNodes(t, "--replicas", fmt.Sprint(replicas))
		if replicas == 1 {
			nodes = []*node{alone(t)}
		}
		for _, n := range nodes {
			n.start()
		}
		for _, n := range nodes {
			n.ready()
		}
		b := dialNodes(t, nodes)
		const count = 200
		c := &chain{t: t, log: b.Bars()}
		began := time.Now()
		for i := range count {
			if err := c.add(t.Context(), fmt.Appendf(nil, "entry %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		frames := time.Since(began) / count
		began = time.Now()
		revision := uint64(0)
		for range count {
			var err error
			if revision, err = b.Registry().Put(t.Context(), "lease.1", revision, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		puts := time.Since(began) / count
		began = time.Now()
		for range count {
			ack, err := b.Ticks().Publish(t.Context(), 1, make([]byte, 2048))
			if err == nil {
				err = ack.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d nodes: an append %s, a put %s, a batch of ticks %s", replicas, frames, puts, time.Since(began)/count)
		for _, n := range nodes {
			n.kill()
		}
	}
}
