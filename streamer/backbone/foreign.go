package backbone

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// barsPrefix begins the names of streams that hold bars.
const barsPrefix = "BARS_"

// refuseForeign refuses a store that holds another stream's bars: one directory is one
// MarketStream's, and its room was given to that one.
func refuseForeign(ctx context.Context, js jetstream.JetStream, own string) error {
	if !strings.HasPrefix(own, barsPrefix) {
		return nil
	}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if name != own && strings.HasPrefix(name, barsPrefix) {
			return fmt.Errorf("the directory belongs to MarketStream %s; give this one a log of its own",
				strings.Replace(strings.TrimPrefix(name, barsPrefix), "_", "/", 1))
		}
	}
	return names.Err()
}
