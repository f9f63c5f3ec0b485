package backbone

import (
	"context"
	"testing"

	"github.com/go-logr/logr/testr"

	"github.com/marketstream/marketstream/streamer/logs"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	for _, dir := range []string{"", t.TempDir()} {
		b, err := Open(ctx, Options{Namespace: "default", Name: "demo", Dir: dir, Log: testr.New(t)})
		if err != nil {
			t.Fatal(err)
		}
		seq, err := b.Bars().Append(ctx, 3, 0, []byte("hello"))
		t.Log(seq, err)
		_, err = b.Bars().Append(ctx, 3, 0, []byte("hello"))
		t.Log(err)
		e, err := b.Bars().Last(ctx, 3)
		t.Log(e, err)
		e, err = b.Bars().Last(ctx, 4)
		t.Log(e, err)
		a, err := b.Ticks().Publish(ctx, 4, []byte("x"))
		t.Log(err, a.Wait(ctx))
		t.Log(b.Ticks().Read(ctx, 4, func(d []byte) error { t.Log(string(d)); return nil }))
		t.Log(b.Bars().Read(ctx, 1, func(e logs.Entry) error { t.Log(e); return nil }))
		t.Log(b.Close())
	}
}
