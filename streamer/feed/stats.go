package feed

import "time"

// Stats is what a live source counts of itself, since it was made.
type Stats struct {
	Frames      uint64 // that were read
	Trades      uint64 // that were put
	BadFrames   uint64 // that could not be read; what they held is missed and found by its id
	ErrorFrames uint64 // by which the vendor said what it does not like
	Ahead       uint64 // events that were too far ahead of the clock to move the watermark
	Connects    uint64 // connections that were made
	Disconnects uint64 // connections that were lost
	Limited     uint64 // refusals for too many connections or subscriptions
	Unknown     int    // symbols that the vendor does not know, now
	// Lag is how long the latest trade had been under way when it was put, corrected by the
	// clock's offset: it rises when the sink holds the source up.
	Lag time.Duration
	// Offset is local time − exchange time, the shortest way included.
	Offset time.Duration
}

// Reporter is a source that counts.
type Reporter interface {
	// Stats may be called from any goroutine.
	Stats() Stats
}
