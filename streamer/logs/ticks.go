package logs

import "context"

// Ticks is TICKS, and the plain messages of state beside it, as the rest of the program
// sees them. TICKS lives in memory and keeps minutes; what is lost of it the source has.
type Ticks interface {
	// Publish stores an encoded Batch on its partition and returns before it is acknowledged.
	// data is the caller's again once the Ack is done. It blocks while too many are under way.
	Publish(ctx context.Context, partition int, data []byte) (Ack, error)
	// Read calls fn with every batch of a partition that is stored when Read begins, oldest first.
	Read(ctx context.Context, partition int, fn func(data []byte) error) error
	// Last returns the last batch of a partition that is stored, asked of the leader; ErrGone if there is none.
	Last(ctx context.Context, partition int) (data []byte, err error)
	// Subscribe calls fn with every batch of a partition that is published from now on, in order,
	// until the returned function is called. What a slow fn misses is lost: these are for
	// display. data is fn's only until it returns.
	Subscribe(partition int, fn func(data []byte)) (unsubscribe func(), err error)
	// PublishState sends an encoded StateMessage to whoever listens. data is the caller's again at return.
	PublishState(partition int, data []byte) error
	// SubscribeState is Subscribe for the states of a partition. Whoever writes the partition is
	// asked to repeat all of them, now and after each loss of the connection.
	SubscribeState(partition int, fn func(data []byte)) (unsubscribe func(), err error)
	// Asked calls fn whenever a partition's states are asked for, and for every partition after a
	// loss of the connection, until the returned function is called. fn must not block.
	Asked(fn func(partition int)) (stop func(), err error)
}

// Ack is an append under way.
type Ack interface {
	// Wait returns nil once the append is stored, else why not.
	Wait(ctx context.Context) error
}
