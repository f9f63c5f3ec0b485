package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

// ErrOtherOwner says that the log belongs to another stream, or that whose it is is not known.
var ErrOtherOwner = errors.New("the log is another's")

// ErrOtherFeed says that a log is of another kind of data than the feed is.
var ErrOtherFeed = errors.New("the log is of another kind of data")

// own returns the owner's record of the log, written first if the log is new. It refuses a
// log of another stream, and one whose data is of another class: no invented bar may ever
// be served as real.
func own(ctx context.Context, log logs.Log, want logs.Owner, now time.Time) (*logs.Owner, error) {
	e, err := log.Last(ctx, logs.OwnerSubject)
	if errors.Is(err, logs.ErrGone) {
		b, err := log.Bounds(ctx)
		if err == nil && b.Last >= b.First { // another pod may just have written it
			if _, again := log.Last(ctx, logs.OwnerSubject); again == nil {
				return own(ctx, log, want, now)
			}
		}
		if err != nil || b.Last >= b.First {
			return nil, errors.Join(err, fmt.Errorf("%w: it holds entries %d to %d and its owner's record is gone, so whose they are is not known; give this stream a log of its own", ErrOtherOwner, b.First, b.Last))
		}
		want.Epoch, want.EpochStartMs = newEpoch(), now.UnixMilli()
		f := logs.Frame{Kind: logs.FrameOwner, Tag: randomTag(), Owner: &want}
		data, err := f.AppendBinary(nil)
		if err == nil {
			_, err = log.Append(ctx, logs.OwnerSubject, 0, data)
		}
		switch {
		case err == nil:
			return &want, nil
		case errors.Is(err, logs.ErrConflict): // another pod was faster
			return own(ctx, log, want, now)
		}
		return nil, fmt.Errorf("writing the log's owner: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log's owner: %w", err)
	}
	f, err := logs.DecodeFrame(e.Data)
	if err != nil || f.Owner == nil {
		return nil, fmt.Errorf("the log's first record names no owner: %w", errors.Join(err, logs.ErrCorrupt))
	}
	has := f.Owner
	if has.Namespace != want.Namespace || has.Name != want.Name {
		return nil, fmt.Errorf("%w: it belongs to MarketStream %s/%s, this one is %s/%s; give this one a log of its own",
			ErrOtherOwner, has.Namespace, has.Name, want.Namespace, want.Name)
	}
	if has.UID != "" && has.UID != want.UID {
		return nil, fmt.Errorf("%w: it belongs to a MarketStream %s/%s of UID %s, this one has %s: it was made again, or is in another cluster; give this one another spec.backbone.external.prefix, or remove the streams of this one",
			ErrOtherOwner, has.Namespace, has.Name, has.UID, cmp.Or(want.UID, "none"))
	}
	if has.Feed != want.Feed {
		return nil, fmt.Errorf("%w: it holds %s data and this feed is %s; bars of the two are never mixed, so give this one a log of its own",
			ErrOtherFeed, has.Feed, want.Feed)
	}
	return has, nil
}

// newEpoch names an incarnation of a log: 10 letters and digits at random.
func newEpoch() string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand says so
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return string(b[:])
}

func randomTag() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// renewOwner writes the owner's record again, so that it does not age out.
func renewOwner(ctx context.Context, log logs.Log) error {
	e, err := log.Last(ctx, logs.OwnerSubject)
	if err != nil {
		return err
	}
	if _, err = log.Append(ctx, logs.OwnerSubject, e.Seq, e.Data); errors.Is(err, logs.ErrConflict) {
		return nil // another pod has just done it
	}
	return err
}
