package clustergossip_test

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

var _ io.Closer = (*cg.Node)(nil)
var _ io.Closer = (*cg.Subscription)(nil)

// entriesOf counts what is in a folder of /proc.
func entriesOf(t testing.TB, folder string) int {
	t.Helper()
	found, err := os.ReadDir(folder)
	if err != nil {
		t.Skipf("this system does not tell: %v", err)
	}
	return len(found)
}

func descriptors(t testing.TB) int { return entriesOf(t, "/proc/self/fd") }
func threads(t testing.TB) int     { return entriesOf(t, "/proc/self/task") }

func TestUseAfterClose(t *testing.T) {
	node := open(t, nil)
	set(t, node, "key", cg.Int(1))
	changes, err := node.Changes(patient(t), cg.Filter{})
	must(t, err)
	id := node.ID()
	must(t, node.Close())
	must(t, node.Close())
	must(t, node.Kill())
	calls := map[string]func() error{
		"Self":           func() error { _, err := node.Self(); return err },
		"State":          func() error { _, err := node.State(); return err },
		"Setting":        func() error { _, err := node.Setting("cluster"); return err },
		"Reconfigure":    func() error { return node.Reconfigure(cg.Config{"tags": "a=b"}) },
		"Describe":       func() error { _, err := node.Describe(); return err },
		"Snapshot":       func() error { _, err := node.Snapshot(); return err },
		"SnapshotJSON":   func() error { _, err := node.SnapshotJSON(); return err },
		"Offsets":        func() error { _, err := node.Offsets(); return err },
		"Metrics":        func() error { _, err := node.Metrics(); return err },
		"MetricsText":    func() error { _, err := node.MetricsText(); return err },
		"Set":            func() error { _, err := node.Set("key", cg.Int(2)); return err },
		"Delete":         func() error { return node.Delete("key") },
		"Get":            func() error { _, err := node.Get("key"); return err },
		"GetFrom":        func() error { _, _, err := node.GetFrom(id, "key"); return err },
		"GetOwn":         func() error { _, _, err := node.GetOwn("key"); return err },
		"Entries":        func() error { _, err := node.Entries(""); return err },
		"Members":        func() error { _, err := node.Members(); return err },
		"WaitForMembers": func() error { return node.WaitForMembers(patient(t), 1) },
		"WaitSynced":     func() error { return node.WaitSynced(patient(t)) },
		"Leave":          func() error { return node.Leave(patient(t)) },
		"Subscribe":      func() error { _, err := node.Subscribe(cg.Filter{}); return err },
		"Changes":        func() error { _, err := node.Changes(patient(t), cg.Filter{}); return err },
		"LogTo":          func() error { return node.LogTo(patient(t), nil) },
	}
	for name, call := range calls {
		fails(t, name, call(), cg.ErrClosed)
	}
	if node.ID() != id || node.Address() != "" {
		t.Errorf("id %q, address %q", node.ID(), node.Address())
	}
	for range changes {
		// It has ended, or this would not.
	}
}

func TestCloseByMany(t *testing.T) {
	node := open(t, nil)
	var done sync.WaitGroup
	for range 8 {
		done.Add(2)
		go func() {
			defer done.Done()
			if err := node.Close(); err != nil {
				t.Error(err)
			}
			// Whoever called it, it is closed when the call returns.
			_, err := node.Get("key")
			fails(t, "get after close", err, cg.ErrClosed)
		}()
		go func() {
			defer done.Done()
			for {
				if _, err := node.Set("key", cg.Int(1)); err != nil {
					if !errors.Is(err, cg.ErrClosed) && !errors.Is(err, cg.ErrLeft) {
						t.Error(err)
					}
					return
				}
			}
		}()
	}
	done.Wait()
}

func TestWaits(t *testing.T) {
	name := cluster()
	first := open(t, cg.Config{"cluster": name})
	must(t, first.WaitSynced(patient(t)))
	must(t, first.WaitForMembers(patient(t), 1))
	done := make(chan error)
	go func() { done <- first.WaitForMembers(patient(t), 3) }()
	second := open(t, cg.Config{"cluster": name, "seeds": first.Address()})
	third := open(t, cg.Config{"cluster": name, "seeds": first.Address()})
	must(t, second.WaitSynced(patient(t)))
	must(t, third.WaitForMembers(patient(t), 3))
	must(t, <-done)
	if state, err := third.State(); err != nil || state != cg.StateJoined {
		t.Errorf("state: %v, %v", state, err)
	}
}

func TestContextsEndWaits(t *testing.T) {
	waits := map[string]func(*cg.Node, context.Context) error{
		"WaitForMembers": func(node *cg.Node, ctx context.Context) error { return node.WaitForMembers(ctx, 2) },
		"WaitSynced":     (*cg.Node).WaitSynced,
	}
	for name, wait := range waits {
		// The seed is an address where nobody answers.
		node := open(t, cg.Config{"seeds": "127.0.0.1:9"})
		short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		if err := wait(node, short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a deadline: %v", name, err)
		}
		cancel()
		if err := wait(node, short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a context that is done: %v", name, err)
		}
		done := make(chan error)
		cancelled, cancel := context.WithCancel(context.Background())
		go func() { done <- wait(node, cancelled) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
		go func() { done <- wait(node, context.Background()) }()
		time.AfterFunc(10*time.Millisecond, func() { node.Kill() })
		fails(t, name+" when the node is closed", <-done, cg.ErrClosed)
	}
}

func TestLeave(t *testing.T) {
	writer, reader := pair(t)
	set(t, writer, "key", cg.Int(1))
	must(t, writer.Leave(patient(t)))
	must(t, writer.Leave(patient(t)))
	if state, err := writer.State(); err != nil || state != cg.StateLeft {
		t.Errorf("state: %v, %v", state, err)
	}
	_, err := writer.Set("key", cg.Int(2))
	fails(t, "set after leave", err, cg.ErrLeft)
	if entry, found, err := writer.GetOwn("key"); err != nil || !found || entry.Value != cg.Int(1) {
		t.Errorf("get after leave: %+v, %v, %v", entry, found, err)
	}
	until(t, "it has left", func() bool {
		members, err := reader.Members()
		must(t, err)
		return len(members) == 1
	})
}

func TestLeaveThatNobodyAcknowledges(t *testing.T) {
	writer, reader := pair(t)
	must(t, writer.Reconfigure(cg.Config{"leave_timeout": 50 * time.Millisecond}))
	must(t, reader.Kill())
	fails(t, "leave", writer.Leave(patient(t)), cg.ErrTimeout)
	if state, err := writer.State(); err != nil || state != cg.StateLeft {
		t.Errorf("state: %v, %v", state, err)
	}
	// Its close waits for no acknowledgement again.
	must(t, writer.Close())
}

func TestLeaveWithContext(t *testing.T) {
	writer, reader := pair(t)
	must(t, writer.Reconfigure(cg.Config{"leave_timeout": "10m"}))
	must(t, reader.Kill())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := writer.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("leave: %v", err)
	}
	must(t, writer.Kill())
}

// A node that is forgotten leaves, so that the others do not take it for crashed.
func TestForgottenNode(t *testing.T) {
	name := cluster()
	observer := open(t, cg.Config{"cluster": name})
	func() {
		forgotten, err := cg.Open(cg.Config{"cluster": name, "bind": "127.0.0.1:0", "id": "forgotten", "seeds": observer.Address()})
		must(t, err)
		must(t, forgotten.WaitForMembers(patient(t), 2))
		must(t, observer.WaitForMembers(patient(t), 2))
	}()
	until(t, "it has left", func() bool {
		runtime.GC()
		members, err := observer.Members(cg.Departed())
		must(t, err)
		return len(members) == 2 && members[0].Status != cg.MemberAlive != (members[1].Status != cg.MemberAlive) &&
			(members[0].Status == cg.MemberLeft || members[1].Status == cg.MemberLeft)
	})
}

func TestThousandOpensAndCloses(t *testing.T) {
	once := func(i int) {
		node, err := cg.Open(cg.Config{"cluster": "many", "bind": "127.0.0.1:0"})
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		changes, err := node.Changes(ctx, cg.Filter{})
		must(t, err)
		must(t, node.LogTo(ctx, nil))
		set(t, node, "key", cg.Int(i))
		if change := receive(t, changes); change.Value != cg.Int(i) {
			t.Fatalf("%+v", change)
		}
		if i%2 == 0 {
			must(t, node.Close())
		} else {
			must(t, node.Kill())
		}
	}
	// One node stays, so that the library's own threads do not come and go meanwhile.
	open(t, nil)
	for i := range 20 {
		once(i)
	}
	runtime.GC()
	fds, tasks, goroutines := descriptors(t), threads(t), runtime.NumGoroutine()
	for i := range 1000 {
		once(i)
	}
	// A few threads are the Go runtime's to make as it likes.
	until(t, "descriptors, threads and goroutines are as before", func() bool {
		return descriptors(t) <= fds+4 && threads(t) <= tasks+8 && runtime.NumGoroutine() <= goroutines+4
	})
}
