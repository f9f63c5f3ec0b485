package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/marketstream/marketstream/streamer/logs"
)

// RegistrySubject is a registry under test. The hooks change what is beneath while it stays
// open; those that an implementation cannot offer are nil.
type RegistrySubject struct {
	Registry logs.Registry
	// Restart ends what keeps the registry as a crash does, and starts it again with all that it had.
	Restart func()
	// Rewind is Restart with the state at the last call of Keep in place.
	Keep, Rewind func()
}

// RunRegistry runs the suite of [logs.Registry]; open opens an empty one for each test.
func RunRegistry(t *testing.T, open func(t *testing.T) RegistrySubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, context.Context, RegistrySubject)
	}{
		{"put", testPut}, {"delete", testDelete}, {"keys", testKeys}, {"list", testList}, {"contenders", testContenders},
		{"watch", testWatch}, {"watch over a restart", testWatchRestart}, {"watch after a rewind", testWatchRewind},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), guard)
			defer cancel()
			c.run(t, ctx, open(t))
		})
	}
}

func mustPut(t *testing.T, ctx context.Context, r logs.Registry, key string, expect uint64, value string) uint64 {
	t.Helper()
	revision, err := r.Put(ctx, key, expect, []byte(value))
	if err != nil {
		t.Fatalf("put %s after %d: %v", key, expect, err)
	}
	return revision
}

// testPut: a put happens exactly if the key has the revision that it expects.
func testPut(t *testing.T, ctx context.Context, s RegistrySubject) {
	if _, err := s.Registry.Get(ctx, "lease.3"); !errors.Is(err, logs.ErrGone) {
		t.Errorf("a key that never was: %v", err)
	}
	if _, err := s.Registry.Put(ctx, "lease.3", 5, nil); !errors.Is(err, logs.ErrConflict) {
		t.Errorf("put after what never was: %v", err)
	}
	a := mustPut(t, ctx, s.Registry, "lease.3", 0, "a")
	other := mustPut(t, ctx, s.Registry, "lease.4", 0, "other")
	b := mustPut(t, ctx, s.Registry, "lease.3", a, "b")
	if a >= other || other >= b {
		t.Errorf("revisions %d, %d, %d: want them to rise over all keys", a, other, b)
	}
	for _, expect := range []uint64{0, a, other, b + 7} {
		if _, err := s.Registry.Put(ctx, "lease.3", expect, []byte("x")); !errors.Is(err, logs.ErrConflict) {
			t.Errorf("put after %d: %v, want a conflict", expect, err)
		}
	}
	if kv, err := s.Registry.Get(ctx, "lease.3"); err != nil || kv.Key != "lease.3" || kv.Revision != b || string(kv.Value) != "b" || kv.Deleted {
		t.Errorf("%+v %v", kv, err)
	}
	mustPut(t, ctx, s.Registry, "lease.3", b, "")
	if kv, err := s.Registry.Get(ctx, "lease.3"); err != nil || kv.Value == nil || len(kv.Value) != 0 {
		t.Errorf("an empty value: %+v %v", kv, err)
	}
	if _, err := s.Registry.Put(ctx, "large", 0, bytes.Repeat([]byte("x"), 1<<20)); !errors.Is(err, logs.ErrTooLarge) {
		t.Errorf("a value of 1 MiB: %v", err)
	}
}

// testDelete: a deleted key is gone, and can be put as one that never was.
func testDelete(t *testing.T, ctx context.Context, s RegistrySubject) {
	if err := s.Registry.Delete(ctx, "drain.a", 0); !errors.Is(err, logs.ErrConflict) {
		t.Errorf("delete what is not there: %v", err)
	}
	a := mustPut(t, ctx, s.Registry, "drain.a", 0, "a")
	for _, expect := range []uint64{0, a + 1} {
		if err := s.Registry.Delete(ctx, "drain.a", expect); !errors.Is(err, logs.ErrConflict) {
			t.Errorf("delete revision %d: %v", expect, err)
		}
	}
	if err := s.Registry.Delete(ctx, "drain.a", a); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Registry.Get(ctx, "drain.a"); !errors.Is(err, logs.ErrGone) {
		t.Errorf("get what was deleted: %v", err)
	}
	if err := s.Registry.Delete(ctx, "drain.a", a); !errors.Is(err, logs.ErrConflict) {
		t.Errorf("delete it twice: %v", err)
	}
	if _, err := s.Registry.Put(ctx, "drain.a", a, []byte("x")); !errors.Is(err, logs.ErrConflict) {
		t.Errorf("put after what was deleted: %v", err)
	}
	if b := mustPut(t, ctx, s.Registry, "drain.a", 0, "b"); b <= a {
		t.Errorf("revision %d after %d", b, a)
	}
}

// testKeys: what is no key is refused with an error that quotes it.
func testKeys(t *testing.T, ctx context.Context, s RegistrySubject) {
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "A", "a b", "a*", ">", "a_b", "é", strings.Repeat("a", 1000)} {
		_, put := s.Registry.Put(ctx, key, 0, nil)
		_, get := s.Registry.Get(ctx, key)
		for _, err := range []error{put, get, s.Registry.Delete(ctx, key, 0)} {
			if err == nil || errors.Is(err, logs.ErrGone) || errors.Is(err, logs.ErrUnavailable) || errors.Is(err, logs.ErrConflict) ||
				!strings.Contains(err.Error(), fmt.Sprintf("%q", key)) {
				t.Errorf("key %q: %v", key, err)
			}
		}
	}
	for _, key := range []string{"a", "0", "-", "lease.15", "drain.host-0-a1b2c3d4", "a.b.c"} {
		mustPut(t, ctx, s.Registry, key, 0, key)
	}
}

func listed(t *testing.T, ctx context.Context, r logs.Registry) map[string]string {
	t.Helper()
	list, err := r.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range list {
		if _, twice := got[kv.Key]; twice || kv.Deleted || kv.Revision == 0 {
			t.Errorf("%+v", kv)
		}
		got[kv.Key] = string(kv.Value)
	}
	return got
}

// testList: a list has every key that is there, once.
func testList(t *testing.T, ctx context.Context, s RegistrySubject) {
	if got := listed(t, ctx, s.Registry); len(got) != 0 {
		t.Errorf("an empty registry: %v", got)
	}
	a := mustPut(t, ctx, s.Registry, "a", 0, "1")
	mustPut(t, ctx, s.Registry, "b.c", 0, "2")
	d := mustPut(t, ctx, s.Registry, "d", 0, "3")
	mustPut(t, ctx, s.Registry, "a", a, "4")
	if err := s.Registry.Delete(ctx, "d", d); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(listed(t, ctx, s.Registry)); got != "map[a:4 b.c:2]" {
		t.Error(got)
	}
	// While a key changes it is listed once, as it was at some moment.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for revision := uint64(0); ; {
			select {
			case <-stop:
				return
			default:
			}
			var err error
			if revision, err = s.Registry.Put(ctx, "busy", revision, []byte("x")); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 50 {
		listed(t, ctx, s.Registry)
	}
	close(stop)
	<-stopped
	if got := listed(t, ctx, s.Registry); got["busy"] != "x" {
		t.Error(got)
	}
}

// testContenders: of those who put after the same revision one succeeds, and no change is lost.
func testContenders(t *testing.T, ctx context.Context, s RegistrySubject) {
	const each, writers = 15, 4
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for done := 0; done < each; {
				kv, err := s.Registry.Get(ctx, "token")
				if err != nil && !errors.Is(err, logs.ErrGone) {
					t.Error(err)
					return
				}
				_, err = s.Registry.Put(ctx, "token", kv.Revision, append(kv.Value, 'x'))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, logs.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	if kv, err := s.Registry.Get(ctx, "token"); err != nil || len(kv.Value) != each*writers {
		t.Errorf("%d changes, want %d: %v", len(kv.Value), each*writers, err)
	}
}

// view is what a watch was told.
type view struct {
	mu      sync.Mutex
	keys    map[string]string
	told    []string
	changed chan struct{}
}

// watching starts a watch that ends with the test.
func watching(t *testing.T, ctx context.Context, r logs.Registry) *view {
	v := &view{keys: map[string]string{}, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- r.Watch(ctx, func(kv logs.KeyValue) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			if kv.Deleted {
				delete(v.keys, kv.Key)
			} else {
				v.keys[kv.Key] = string(kv.Value)
			}
			v.told = append(v.told, fmt.Sprint(kv.Key, "=", string(kv.Value)))
			select {
			case v.changed <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the end of a watch: %v", err)
		}
	})
	return v
}

// until waits for the watch to have told this.
func (v *view) until(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	for {
		v.mu.Lock()
		got := fmt.Sprint(v.keys)
		v.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-v.changed:
		case <-ctx.Done():
			t.Fatalf("the watch has told %s, want %s", got, want)
		}
	}
}

// testWatch: a watch tells what is there and then every change.
func testWatch(t *testing.T, ctx context.Context, s RegistrySubject) {
	empty := watching(t, ctx, s.Registry)
	a := mustPut(t, ctx, s.Registry, "a", 0, "1")
	b := mustPut(t, ctx, s.Registry, "b", 0, "2")
	late := watching(t, ctx, s.Registry)
	late.until(t, ctx, "map[a:1 b:2]")
	mustPut(t, ctx, s.Registry, "a", a, "3")
	if err := s.Registry.Delete(ctx, "b", b); err != nil {
		t.Fatal(err)
	}
	mustPut(t, ctx, s.Registry, "c", 0, "4")
	for _, v := range []*view{empty, late, watching(t, ctx, s.Registry)} {
		v.until(t, ctx, "map[a:3 c:4]")
	}
	stop := errors.New("stop")
	if err := s.Registry.Watch(ctx, func(logs.KeyValue) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("fn's error: %v", err)
	}
}

// testWatchRestart: a watch gets over a server that goes away.
func testWatchRestart(t *testing.T, ctx context.Context, s RegistrySubject) {
	if s.Restart == nil {
		t.Skip("it cannot be restarted and keep what it has")
	}
	a := mustPut(t, ctx, s.Registry, "a", 0, "1")
	mustPut(t, ctx, s.Registry, "b", 0, "2")
	v := watching(t, ctx, s.Registry)
	v.until(t, ctx, "map[a:1 b:2]")
	s.Restart()
	if got := fmt.Sprint(eventually(t, ctx, func() (map[string]string, error) {
		list, err := s.Registry.List(ctx)
		got := map[string]string{}
		for _, kv := range list {
			got[kv.Key] = string(kv.Value)
		}
		return got, err
	})); got != "map[a:1 b:2]" {
		t.Errorf("after a restart: %s", got)
	}
	mustPut(t, ctx, s.Registry, "a", a, "3")
	v.until(t, ctx, "map[a:3 b:2]")
}

// testWatchRewind: a watch is told everything again after the registry has lost its end.
func testWatchRewind(t *testing.T, ctx context.Context, s RegistrySubject) {
	if s.Rewind == nil {
		t.Skip("it cannot be rewound")
	}
	a := mustPut(t, ctx, s.Registry, "a", 0, "1")
	mustPut(t, ctx, s.Registry, "still", 0, "there")
	s.Keep()
	v := watching(t, ctx, s.Registry)
	v.until(t, ctx, "map[a:1 still:there]")
	b := eventually(t, ctx, func() (uint64, error) { return s.Registry.Put(ctx, "a", a, []byte("lost")) })
	mustPut(t, ctx, s.Registry, "lost", 0, "2")
	v.until(t, ctx, "map[a:lost lost:2 still:there]")
	s.Rewind()
	v.until(t, ctx, "map[a:1 still:there]")
	v.mu.Lock()
	told := fmt.Sprint(v.told)
	v.mu.Unlock()
	if strings.Count(told, "still=there") != 2 {
		t.Errorf("after a rewind everything comes again: %s", told)
	}
	if _, err := s.Registry.Put(ctx, "a", b, nil); !errors.Is(err, logs.ErrConflict) {
		t.Errorf("put after what was lost: %v", err)
	}
	mustPut(t, ctx, s.Registry, "a", a, "3")
	v.until(t, ctx, "map[a:3 still:there]")
}

// eventually calls fn until the log answers.
func eventually[T any](t *testing.T, ctx context.Context, fn func() (T, error)) T {
	t.Helper()
	for {
		got, err := fn()
		if err == nil {
			return got
		}
		if !errors.Is(err, logs.ErrUnavailable) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}
