package clustergossip_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

func TestChangesOfEntries(t *testing.T) {
	writer, reader := pair(t)
	changes, err := reader.Changes(patient(t), cg.Filter{Key: "colour"})
	must(t, err)
	seq := set(t, writer, "colour", cg.Text("red"))
	set(t, writer, "other", cg.Text("not asked for"))
	change := receive(t, changes)
	if change.Kind != cg.KindEntryChanged || change.Member != "writer" || change.Key != "colour" || change.Value != cg.Text("red") ||
		change.Seq != seq || change.Conflated != 1 || change.Info != nil || change.Text != "" || change.MemberStatus != cg.MemberAlive {
		t.Errorf("changed: %+v", change)
	}
	entry, found, err := reader.GetFrom("writer", "colour")
	if err != nil || !found || entry.Seq < change.Seq || entry.Generation != change.Generation {
		t.Errorf("get after the change gives %+v, %v, %v", entry, found, err)
	}
	must(t, writer.Delete("colour"))
	change = receive(t, changes)
	if change.Kind != cg.KindEntryDeleted || change.Value != nil || change.Raw != nil || change.Seq <= seq {
		t.Errorf("deleted: %+v", change)
	}
	must(t, reader.Close())
	if change, more := <-changes; more {
		t.Errorf("after the close: %+v", change)
	}
}

func TestInitialThenDoneThenWhatComes(t *testing.T) {
	node := open(t, nil)
	for i := range 1000 {
		set(t, node, fmt.Sprintf("key:%d", i), cg.Int(i))
	}
	changes, err := node.Changes(patient(t), cg.Filter{Prefix: "key:", Initial: true})
	must(t, err)
	set(t, node, "key:0", cg.Text("later"))
	values := map[string]cg.Value{}
	for {
		change := receive(t, changes)
		if change.Kind == cg.KindInitialDone {
			break
		}
		if _, twice := values[change.Key]; twice {
			t.Errorf("%s comes twice", change.Key)
		}
		values[change.Key] = change.Value
	}
	if len(values) != 1000 {
		t.Errorf("%d initial entries", len(values))
	}
	// The set that came in between is among what was initial, or comes after it, but is not lost.
	if values["key:0"] != cg.Text("later") {
		if change := receive(t, changes); change.Value != cg.Text("later") {
			t.Errorf("after the initial ones: %+v", change)
		}
	}
}

func TestFilters(t *testing.T) {
	writer, reader := pair(t)
	byMember := subscribe(t, reader, cg.Filter{Member: "writer"})
	notSelf := subscribe(t, reader, cg.Filter{Prefix: "k", NoSelf: true})
	deleted := subscribe(t, reader, cg.Filter{Kinds: cg.KindEntryDeleted, Prefix: "k"})
	set(t, reader, "k1", cg.Text("own"))
	set(t, writer, "k2", cg.Text("other's"))
	until(t, "it is there", func() bool {
		_, found, err := reader.GetFrom("writer", "k2")
		must(t, err)
		return found
	})
	must(t, writer.Delete("k2"))
	for what, subscription := range map[string]*cg.Subscription{"by member": byMember, "not self": notSelf, "deleted": deleted} {
		for _, change := range collect(t, subscription, 1) {
			if change.Member != "writer" || change.Key != "k2" || what == "deleted" && change.Kind != cg.KindEntryDeleted {
				t.Errorf("%s: %+v", what, change)
			}
		}
	}
}

func TestChangesOfMembersAndState(t *testing.T) {
	name := cluster()
	first := open(t, cg.Config{"cluster": name})
	changes, err := first.Changes(patient(t), cg.Filter{Kinds: cg.KindMembers | cg.KindNode, NoSelf: true})
	must(t, err)
	next := func(kind cg.Kind) cg.Change {
		for {
			if change := receive(t, changes); change.Kind == kind {
				return change
			}
		}
	}
	second := open(t, cg.Config{"cluster": name, "id": "second", "seeds": first.Address(), "tags": map[string]string{"a": "b"}})
	joined := next(cg.KindMemberJoined)
	if joined.Member != "second" || joined.Info == nil || joined.Info.ID != "second" || joined.Info.Address != second.Address() ||
		joined.Info.Tags["a"] != "b" || joined.Info.IsSelf || joined.Value != nil || joined.Code != 0 || joined.State() != 0 {
		t.Errorf("joined: %+v, %+v", joined, joined.Info)
	}
	must(t, second.Reconfigure(cg.Config{"tags": map[string]string{"a": "c"}}))
	if updated := next(cg.KindMemberUpdated); updated.Info.Tags["a"] != "c" {
		t.Errorf("updated: %+v", updated.Info)
	}
	must(t, second.Close())
	if left := next(cg.KindMemberLeft); left.Member != "second" || left.MemberStatus != cg.MemberLeft {
		t.Errorf("left: %+v", left)
	}
	must(t, first.Leave(patient(t)))
	for {
		if change := next(cg.KindNodeState); change.State() == cg.StateLeft {
			break
		}
	}
}

// A sleeping reader costs nobody anything: what it finds are the last values, and the count of all.
func TestConflation(t *testing.T) {
	const keys, sets = 100, 1_000_000
	node := open(t, nil)
	subscription := subscribe(t, node, cg.Filter{Prefix: "key:"})
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("key:%02d", i)
	}
	for i := range sets {
		set(t, node, names[i%keys], cg.Int(i))
	}
	changes := collect(t, subscription, keys)
	if len(changes) != keys {
		t.Fatalf("%d changes", len(changes))
	}
	count := uint64(0)
	last := map[string]cg.Value{}
	for _, change := range changes {
		count += change.Conflated
		last[change.Key] = change.Value
	}
	if count != sets {
		t.Errorf("they stand for %d changes, not %d", count, sets)
	}
	for i, name := range names {
		if last[name] != cg.Int(sets-keys+i) {
			t.Errorf("%s: %v", name, last[name])
		}
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if changes, err := subscription.Take(done); !errors.Is(err, context.Canceled) {
		t.Errorf("then there are %+v, %v", changes, err)
	}
}

// A channel that nobody reads must not hold up another one, and loses nothing.
func TestSlowChannel(t *testing.T) {
	const keys, sets = 50, 100_000
	writer, reader := pair(t)
	slow, err := reader.Changes(patient(t), cg.Filter{Prefix: "key:"})
	must(t, err)
	fast, err := reader.Changes(patient(t), cg.Filter{Prefix: "key:"})
	must(t, err)
	go func() {
		for i := range sets {
			if _, err := writer.Set(fmt.Sprintf("key:%02d", i%keys), cg.Int(i)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for what, changes := range map[string]<-chan cg.Change{"the fast one": fast, "the slow one": slow} {
		// In this order only by chance, but each must come whole in either.
		last := map[string]cg.Change{}
		finished := 0
		for finished < keys {
			change := receive(t, changes)
			if before, seen := last[change.Key]; seen && (change.Seq <= before.Seq || change.Value.(cg.Int) <= before.Value.(cg.Int)) {
				t.Fatalf("%s: %s: %v (%d) after %v (%d)", what, change.Key, change.Value, change.Seq, before.Value, before.Seq)
			}
			last[change.Key] = change
			if change.Value.(cg.Int) >= sets-keys {
				finished++
			}
		}
	}
}

func TestHundredThousandKeysThroughAChannel(t *testing.T) {
	const keys = 100_000
	node := open(t, nil)
	changes, err := node.Changes(patient(t), cg.Filter{Prefix: "key:"})
	must(t, err)
	go func() {
		for i := range keys {
			if _, err := node.Set(fmt.Sprintf("key:%d", i), cg.Int(i)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	// One writer sets them in this order, each once.
	for i := range keys {
		change := receive(t, changes)
		if change.Value != cg.Int(i) || change.Key != fmt.Sprintf("key:%d", i) || change.Conflated != 1 {
			t.Fatalf("the %dth: %+v", i, change)
		}
	}
}

func TestCancelEndsTheChannel(t *testing.T) {
	node := open(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	changes, err := node.Changes(ctx, cg.Filter{})
	must(t, err)
	// More than fits: the goroutine is in the midst of sending.
	for i := range 1000 {
		set(t, node, fmt.Sprintf("key:%d", i), cg.Int(i))
	}
	receive(t, changes)
	cancel()
	for range changes {
		// What was on its way may still come, then it ends.
	}
	if _, err := node.Changes(ctx, cg.Filter{}); err != nil {
		t.Errorf("a context that is done is no error: %v", err)
	}
}

func TestCloseEndsTheChannelAfterTheLastChange(t *testing.T) {
	const keys = 1000
	node := open(t, nil)
	changes, err := node.Changes(patient(t), cg.Filter{})
	must(t, err)
	for i := range keys {
		set(t, node, fmt.Sprintf("key:%d", i), cg.Int(i))
	}
	must(t, node.Close())
	seen := 0
	for range changes {
		seen++
	}
	if seen != keys {
		t.Errorf("%d of %d changes", seen, keys)
	}
}

func TestCloseWhileReading(t *testing.T) {
	node := open(t, nil)
	changes, err := node.Changes(patient(t), cg.Filter{})
	must(t, err)
	set(t, node, "key", cg.Int(1))
	for range changes {
		// The reader itself closes what it reads.
		must(t, node.Close())
	}
	if _, err := node.Set("key", cg.Int(2)); !errors.Is(err, cg.ErrClosed) {
		t.Error(err)
	}
}

func TestTake(t *testing.T) {
	node := open(t, nil)
	subscription := subscribe(t, node, cg.Filter{})
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if changes, err := subscription.Take(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing was set: %+v, %v", changes, err)
	}
	// With a context that is done it gives what there is.
	set(t, node, "key", cg.Int(1))
	if changes, err := subscription.Take(short); err != nil || len(changes) != 1 {
		t.Errorf("%+v, %v", changes, err)
	}
	// A take that waits: it is woken by a change, it keeps others out, and it ends with the close of the subscription.
	type taken struct {
		changes []cg.Change
		err     error
	}
	result := make(chan taken)
	take := func() {
		changes, err := subscription.Take(patient(t))
		result <- taken{changes, err}
	}
	go take()
	until(t, "another is kept out", func() bool {
		_, err := subscription.Take(short)
		return errors.Is(err, cg.ErrBusy)
	})
	set(t, node, "key", cg.Int(2))
	if got := <-result; got.err != nil || len(got.changes) != 1 || got.changes[0].Value != cg.Int(2) {
		t.Errorf("woken: %+v", got)
	}
	go take()
	until(t, "it waits again", func() bool {
		_, err := subscription.Take(short)
		return errors.Is(err, cg.ErrBusy)
	})
	must(t, subscription.Close())
	if got := <-result; !errors.Is(got.err, cg.ErrClosed) {
		t.Errorf("closed: %+v", got)
	}
	must(t, subscription.Close())
	_, err := subscription.Take(patient(t))
	fails(t, "take after close", err, cg.ErrClosed)
}

// Each wake-up goes through the poller: many that sleep and are woken one after the other.
func TestManySleepers(t *testing.T) {
	const sleepers, rounds = 50, 20
	node := open(t, nil)
	woken := make(chan int)
	for i := range sleepers {
		changes, err := node.Changes(patient(t), cg.Filter{Key: fmt.Sprintf("key:%d", i)})
		must(t, err)
		go func() {
			for change := range changes {
				if change.Kind == cg.KindEntryChanged {
					woken <- i
				}
			}
		}()
	}
	for round := range rounds {
		var expected, seen []int
		for i := round % 3; i < sleepers; i += 3 {
			expected = append(expected, i)
			set(t, node, fmt.Sprintf("key:%d", i), cg.Int(round))
		}
		for range expected {
			select {
			case i := <-woken:
				seen = append(seen, i)
			case <-time.After(patience):
				t.Fatalf("round %d: of %v only %v are woken", round, expected, seen)
			}
		}
		slices.Sort(seen)
		if !slices.Equal(seen, expected) {
			t.Fatalf("round %d: %v were woken, not %v", round, seen, expected)
		}
	}
}

// A subscription that is forgotten is freed by the collector.
func TestForgottenSubscriptions(t *testing.T) {
	node := open(t, nil)
	subscribe(t, node, cg.Filter{})
	before := descriptors(t)
	for range 100 {
		if _, err := node.Subscribe(cg.Filter{}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "their descriptors are closed", func() bool {
		runtime.GC()
		return descriptors(t) <= before
	})
}
