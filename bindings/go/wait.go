//go:build cgo

package clustergossip

import (
	"context"
	"fmt"
	"runtime"
)

// WaitForMembers waits until the node knows so many living members, itself included. It ends with the context's error, or
// ErrClosed when the node is closed.
func (n *Node) WaitForMembers(ctx context.Context, alive int) error {
	if alive < 0 {
		return newError(ErrInvalidArgument, "a number of members is not negative")
	}
	return n.await(ctx, func() (bool, error) {
		return looked(n.id.membersThere(alive))
	})
}

// WaitSynced waits until this node's view can be trusted: it was once equal to a peer's, or it has no seeds. It ends with the
// context's error, or ErrClosed when the node is closed.
func (n *Node) WaitSynced(ctx context.Context) error {
	return n.await(ctx, func() (bool, error) {
		return looked(n.id.synced())
	})
}

// looked reads the answer of a call that would wait, and was told to look only.
func looked(status Status) (bool, error) {
	switch status {
	case statusOK:
		return true, nil
	case ErrTimeout:
		return false, nil
	default:
		return false, newError(status, "")
	}
}

// Leave leaves the cluster and waits until others have acknowledged it. The node can be read afterwards, but not written to; close it.
//
// ErrTimeout: the leave was said, but not acknowledged by enough members within the setting leave_timeout; the node has left all the
// same. The context's error ends the wait, not the leaving.
func (n *Node) Leave(ctx context.Context) error {
	return n.await(ctx, func() (bool, error) {
		// Read before the call: if it had left by then, what the call says is final.
		state, err := n.id.state()
		if err != nil {
			return false, err
		}
		done, err := looked(n.id.leave())
		if !done && err == nil && state == StateLeft {
			err = newError(ErrTimeout, "the node has left, but too few members have acknowledged it within leave_timeout")
		}
		return done, err
	})
}

// await looks until it is done, each time that something has happened to the members or the node.
func (n *Node) await(ctx context.Context, look func() (bool, error)) error {
	defer runtime.KeepAlive(n)
	if done, err := look(); done || err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	subscription, err := n.Subscribe(Filter{Kinds: KindMembers | KindNode})
	if err != nil {
		return err
	}
	defer subscription.Close()
	for {
		// After the subscription was made, so that what happens in between is not missed.
		if done, err := look(); done || err != nil {
			return err
		}
		if _, err := subscription.Take(ctx); err != nil {
			return err
		}
	}
}

// Close leaves, waiting at most for the setting leave_timeout, and closes the node: channels and subscriptions of its changes end
// after the last change, calls that wait on it return ErrClosed. A second call waits for the first one and does nothing else.
func (n *Node) Close() error {
	return n.end(true)
}

// Kill closes the node without leaving: a crash, to the others. For tests of what they do then.
func (n *Node) Kill() error {
	return n.end(false)
}

func (n *Node) end(leave bool) (err error) {
	n.once.Do(func() {
		n.cleanup.Stop()
		if leave {
			// Unacknowledged, left before, banned or failed: all of them are to be closed too.
			_ = n.Leave(context.Background())
		}
		if err = n.id.close(); err != nil {
			err = fmt.Errorf("closing node %s: %w", n.name, err)
		}
	})
	return err
}
