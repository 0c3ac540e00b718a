//go:build cgo

package clustergossip

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// Changes that a Subscription hands out at once: enough to make the calls of a batch cheap.
	batch = 256
	// The same for channels, smaller: what has been taken waits outside of the queue and is no more drawn together.
	channelBatch = 64
	// The longest native wait on platforms where a queue has no descriptor; until it ends, its context is not looked at.
	sliceMS = 100
)

// Filter says which changes a subscription is told of. The zero Filter is all changes of entries.
type Filter struct {
	// Kinds is a mask; 0 stands for KindEntries.
	Kinds Kind
	// Member narrows it to one member's; empty: any.
	Member string
	// Key narrows it to one key; empty: any of the hosts' own. It does not go together with Prefix. Keys beginning "cluster:" are the
	// library's, and are told only if Key or Prefix begins so.
	Key string
	// Prefix narrows it to keys with that beginning; empty: as with Key.
	Prefix string
	// Initial: what exists comes first, as joined members and changed entries, then KindInitialDone; without gap and without double.
	Initial bool
	// NoSelf: nothing about the node's own entries and membership.
	NoSelf bool
}

// Subscription is changes to be taken in batches, made by [Node.Subscribe]. It ends with [Subscription.Close] or the node.
type Subscription struct {
	queue queueID
	bell  *bell
	// Held, so that the node is not collected, and with it closed, while somebody reads its changes.
	node    *Node
	reader  changeReader
	busy    atomic.Bool
	ended   atomic.Bool
	closed  chan struct{}
	once    sync.Once
	cleanup runtime.Cleanup
}

// ending is what the end of a subscription needs; separate, since a cleanup must not hold what it waits for.
type ending struct {
	queue queueID
	bell  *bell
}

func (e ending) end() {
	if e.bell != nil {
		e.bell.remove()
	}
	e.queue.free()
}

// Subscribe subscribes to changes of the node, from this call on.
//
// Nothing is lost while nobody takes: the changes of one key are drawn together and counted, so what waits is never larger than
// the state. Close the subscription when it is not wanted any more.
func (n *Node) Subscribe(filter Filter) (*Subscription, error) {
	defer runtime.KeepAlive(n)
	if filter.Key != "" && filter.Prefix != "" {
		return nil, newError(ErrInvalidArgument, "a filter has a Key or a Prefix, not both")
	}
	kinds := filter.Kinds
	if kinds == 0 {
		kinds = KindEntries
	}
	var flags uint32
	if filter.Initial {
		flags |= flagInitial
	}
	if filter.NoSelf {
		flags |= flagNoSelf
	}
	var member, key *string
	if filter.Member != "" {
		member = &filter.Member
	}
	if filter.Key != "" {
		key = &filter.Key
	} else if filter.Prefix != "" {
		key = &filter.Prefix
		flags |= flagSubPrefix
	}
	queue, err := newQueue()
	if err != nil {
		return nil, err
	}
	bell, err := newBell(queue)
	if err == nil {
		err = queue.subscribe(n.id, kinds, member, key, flags)
	}
	if err != nil {
		ending{queue, bell}.end()
		return nil, err
	}
	s := &Subscription{queue: queue, bell: bell, node: n, closed: make(chan struct{})}
	s.cleanup = runtime.AddCleanup(s, ending.end, ending{queue, bell})
	return s, nil
}

// Take gives the changes that have come, in their order, after waiting for the first one; with a context that is done already, it
// does not wait.
//
// It ends with the context's error, with ErrClosed when the subscription or its node was closed and all was taken, and with ErrBusy
// while another goroutine takes.
func (s *Subscription) Take(ctx context.Context) ([]Change, error) {
	return s.take(ctx, batch)
}

func (s *Subscription) take(ctx context.Context, max int) ([]Change, error) {
	if !s.busy.CompareAndSwap(false, true) {
		return nil, newError(ErrBusy, "")
	}
	defer s.busy.Store(false)
	defer runtime.KeepAlive(s)
	for {
		if s.ended.Load() {
			return nil, newError(ErrClosed, "")
		}
		timeout := int32(0)
		if s.bell == nil && ctx.Err() == nil {
			timeout = sliceMS
		}
		changes, status, err := s.queue.take(max, timeout, &s.reader)
		switch {
		case err != nil:
			return nil, err
		case status == statusOK:
			// It has one subscription, so the end of that is the last there will be.
			if last := len(changes) - 1; last >= 0 && changes[last].Kind == kindClosed {
				changes = changes[:last]
				s.Close()
			}
			if len(changes) > 0 {
				return changes, nil
			}
			continue
		case status == ErrTimeout, status == ErrInterrupted:
		case s.ended.Load():
			// The queue was freed under the call.
			continue
		default:
			return nil, newError(status, "")
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.bell == nil || !s.bell.arm() {
			// Without a bell the call has waited; where it was removed, the subscription has ended.
			continue
		}
		select {
		case <-s.bell.ready:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

// Close ends the subscription, also under a Take of another goroutine, which then returns ErrClosed. What was not taken is dropped.
// It always returns nil; a second call does nothing.
func (s *Subscription) Close() error {
	s.once.Do(func() {
		s.cleanup.Stop()
		s.ended.Store(true)
		close(s.closed)
		ending{s.queue, s.bell}.end()
	})
	return nil
}

// Changes gives the changes of the node, from this call on, in their order. The channel is closed when the context is done, or
// after the last change when the node was closed.
//
// Who receives slowly loses nothing and holds nobody up: the changes of one key are drawn together and counted (Change.Conflated), but for
// the up to 128 that are on their way to the channel. To stop reading before the node is closed, cancel the context: only that
// ends the goroutine that fills the channel.
func (n *Node) Changes(ctx context.Context, filter Filter) (<-chan Change, error) {
	subscription, err := n.Subscribe(filter)
	if err != nil {
		return nil, err
	}
	channel := make(chan Change, channelBatch)
	go subscription.fill(ctx, channel)
	return channel, nil
}

// fill hands changes on in their order until there will be no more, or nobody wants them.
func (s *Subscription) fill(ctx context.Context, channel chan<- Change) {
	defer close(channel)
	defer s.Close()
	for {
		changes, err := s.take(ctx, channelBatch)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, ErrClosed) {
				// Nobody gets this error: the channel only ends.
				slog.Error("clustergossip: a channel of changes ends early", "error", err)
			}
			return
		}
		for _, change := range changes {
			select {
			case channel <- change:
			case <-ctx.Done():
				return
			}
		}
	}
}
