package engine

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

// watchEvery is how often the document is looked at. A read of a few kilobytes, in place of
// file-system events: those are lost on the links that Kubernetes swaps under a mounted
// ConfigMap and on network file systems.
const watchEvery = 500 * time.Millisecond

// Input is a document as it is read, and its generation where somebody counts.
type Input struct {
	Document   []byte
	Generation *logs.ConfigGeneration
}

func (i *Input) equal(j *Input) bool {
	return bytes.Equal(i.Document, j.Document) && (i.Generation == nil) == (j.Generation == nil) &&
		(i.Generation == nil || *i.Generation == *j.Generation)
}

// watch calls changed with what read returns whenever it differs from the last, until ctx
// ends. failed is called once when it cannot be read or stays empty, and again only after it could.
func watch(ctx context.Context, read func() (Input, error), last Input, changed func(Input), failed func(error)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	bad := 0 // looks in a row
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		in, err := read()
		if err == nil && len(bytes.TrimSpace(in.Document)) == 0 {
			if bad++; bad < 2 {
				continue // an editor truncates first
			}
			err = errors.New("the document is empty")
		}
		if err != nil {
			if last.Document != nil {
				failed(err)
			}
			last = Input{} // whatever comes next is news
			continue
		}
		bad = 0
		if !in.equal(&last) {
			last = in
			changed(in)
		}
	}
}
