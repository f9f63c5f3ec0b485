package backbone

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/logs"
)

// maxAnnouncement bounds one announcement, in bytes.
const maxAnnouncement = 64 << 10

// peers is what the processes of a stream tell each other. It implements logs.Peers.
type peers struct {
	*conn
	names *names
}

// Announce implements logs.Peers.
func (p *peers) Announce(data []byte) error {
	if len(data) > maxAnnouncement {
		return fmt.Errorf("announce: %w: %d bytes, at most %d", logs.ErrTooLarge, len(data), maxAnnouncement)
	}
	if err := p.nc.Publish(p.names.pods, data); err != nil {
		return fmt.Errorf("announce: %w", unavailable(err))
	}
	return nil
}

// Listen implements logs.Peers.
func (p *peers) Listen(fn func(data []byte)) (stop func(), err error) {
	return p.subscribe(p.names.pods, fn)
}
