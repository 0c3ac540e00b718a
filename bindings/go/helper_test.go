package clustergossip_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// Ends a wait that hangs: far longer than anything here takes, on any machine.
const patience = 120 * time.Second

// patient is a context that ends a wait that hangs.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: does not come to hold within %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// cluster is a name that no other test has.
func cluster() string {
	return "test-" + rand.Text()
}

// open opens a node on loopback that is closed with the test.
func open(t testing.TB, config cg.Config) *cg.Node {
	t.Helper()
	settings := cg.Config{"cluster": cluster(), "bind": "127.0.0.1:0"}
	for name, value := range config {
		settings[name] = value
	}
	node, err := cg.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	return node
}

// pair opens two nodes that know each other; the first has the id "writer", the second "reader".
func pair(t testing.TB) (writer, reader *cg.Node) {
	t.Helper()
	name := cluster()
	writer = open(t, cg.Config{"cluster": name, "id": "writer"})
	reader = open(t, cg.Config{"cluster": name, "id": "reader", "seeds": writer.Address()})
	for _, node := range []*cg.Node{writer, reader} {
		must(t, node.WaitForMembers(patient(t), 2))
	}
	return writer, reader
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// set sets, and fails the test if that fails.
func set(t testing.TB, node *cg.Node, key string, value cg.Value, options ...cg.SetOption) uint64 {
	t.Helper()
	seq, err := node.Set(key, value, options...)
	if err != nil {
		t.Fatalf("set %q: %v", key, err)
	}
	return seq
}

// fails checks that an error is of that status.
func fails(t testing.TB, what string, err error, status cg.Status) {
	t.Helper()
	var found *cg.Error
	if !errors.As(err, &found) || found.Status != status || !errors.Is(err, status) {
		t.Errorf("%s: %v, not %s", what, err, status.Name())
	}
}

// receive takes one change from a channel.
func receive(t testing.TB, changes <-chan cg.Change) cg.Change {
	t.Helper()
	select {
	case change, more := <-changes:
		if !more {
			t.Fatal("the channel has ended")
		}
		return change
	case <-time.After(patience):
		t.Fatal("no change comes")
	}
	panic("not reached")
}

// subscribe subscribes, and ends that with the test.
func subscribe(t testing.TB, node *cg.Node, filter cg.Filter) *cg.Subscription {
	t.Helper()
	subscription, err := node.Subscribe(filter)
	must(t, err)
	t.Cleanup(func() { subscription.Close() })
	return subscription
}

// collect takes so many changes, however many batches they come in.
func collect(t testing.TB, subscription *cg.Subscription, count int) []cg.Change {
	t.Helper()
	var found []cg.Change
	for len(found) < count {
		changes, err := subscription.Take(patient(t))
		if err != nil {
			t.Fatalf("only %d of %d changes came: %v", len(found), count, err)
		}
		found = append(found, changes...)
	}
	return found
}
