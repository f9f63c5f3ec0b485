package logs

import (
	"context"
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// Reader reads the frames of a [Log] as values, with process-wide symbol numbers. Its
// methods may be called at the same time.
type Reader struct {
	Log     Log
	Symbols *market.SymbolTable
	// Read is told the bytes of each entry that Frames reads; may be nil.
	Read func(bytes int)
}

// Frames is [Log.Read] with frames. A frame that is corrupt, or stands where it does not belong, ends
// it with an error that wraps [ErrCorrupt] and names the sequence. f is fn's to keep.
func (r *Reader) Frames(ctx context.Context, from uint64, fn func(seq uint64, f *Frame) error) error {
	decoded := r.decoding(fn)
	return r.Log.Read(ctx, from, func(e Entry) error {
		if r.Read != nil {
			r.Read(len(e.Data))
		}
		return decoded(e)
	})
}

// Tail is [Log.Tail] with frames, and errors as [Reader.Frames].
func (r *Reader) Tail(ctx context.Context, from uint64, fn func(seq uint64, f *Frame) error) error {
	return r.Log.Tail(ctx, from, r.decoding(fn))
}

// Get is [Log.Get] with a frame.
func (r *Reader) Get(ctx context.Context, seq uint64) (*Frame, error) {
	e, err := r.Log.Get(ctx, seq)
	if err != nil {
		return nil, err
	}
	return r.decode(e)
}

// Last is [Log.Last] with a frame and its sequence.
func (r *Reader) Last(ctx context.Context, partition int) (seq uint64, f *Frame, err error) {
	e, err := r.Log.Last(ctx, partition)
	if err != nil {
		return 0, nil, err
	}
	f, err = r.decode(e)
	return e.Seq, f, err
}

func (r *Reader) decoding(fn func(seq uint64, f *Frame) error) func(Entry) error {
	return func(e Entry) error {
		f, err := r.decode(e)
		if err != nil {
			return err
		}
		return fn(e.Seq, f)
	}
}

func (r *Reader) decode(e Entry) (*Frame, error) {
	f, err := DecodeFrame(e.Data)
	if err != nil {
		return nil, fmt.Errorf("frame at sequence %d: %w", e.Seq, err)
	}
	if owners := f.Kind == FrameOwner; owners != (e.Partition == OwnerSubject) || !owners && int(f.Partition) != e.Partition {
		return nil, fmt.Errorf("frame at sequence %d: %w", e.Seq,
			corrupt("a frame of kind %d of partition %d stands in partition %d", f.Kind, f.Partition, e.Partition))
	}
	Remap(f, r.Symbols)
	return f, nil
}
