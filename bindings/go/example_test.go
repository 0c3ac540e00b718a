package clustergossip_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// Two nodes in one process, so that it shows something by itself; in real life each process opens one, with the address of any other
// as its seed.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	first, err := cg.Open(cg.Config{"cluster": "shop", "bind": "127.0.0.1:0", "tags": map[string]string{"role": "web"}})
	if err != nil {
		panic(err)
	}
	defer first.Close()
	second, err := cg.Open(cg.Config{"cluster": "shop", "bind": "127.0.0.1:0", "seeds": first.Address()})
	if err != nil {
		panic(err)
	}
	defer second.Close()

	changes, err := second.Changes(ctx, cg.Filter{Key: "load"})
	if err != nil {
		panic(err)
	}
	if _, err := first.Set("load", cg.Float(0.7)); err != nil {
		panic(err)
	}
	change := <-changes
	fmt.Println(change.Kind, change.Key, change.Value, change.Member == first.ID())

	entries, err := second.Get("load") // of every member
	if err != nil {
		panic(err)
	}
	fmt.Println(entries[first.ID()].Value)
	// Output:
	// EntryChanged load 0.7 true
	// 0.7
}

func ExampleOpen() {
	node, err := cg.Open(cg.Config{
		"cluster":         "shop",
		"bind":            "127.0.0.1:0",
		"seeds":           []string{"10.0.0.1:4711", "10.0.0.2:4711"},
		"tags":            map[string]string{"role": "web", "zone": "a"},
		"gossip_interval": 300 * time.Millisecond,
	})
	if err != nil {
		panic(err)
	}
	defer node.Kill() // A program of yours would Close.
	fmt.Println(node.State())

	_, err = cg.Open(cg.Config{"gossip_fanout": "many"})
	fmt.Println(errors.Is(err, cg.ErrBadSetting))
	// Output:
	// starting <nil>
	// true
}

func ExampleOpenText() {
	node, err := cg.OpenText("# any program reads this\ncluster=shop\nbind=127.0.0.1:0\nid=one")
	if err != nil {
		panic(err)
	}
	defer node.Close()
	fmt.Println(node.ID())
	// Output: one
}

func ExampleNode_Set() {
	node, err := cg.Open(cg.Config{"bind": "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	fmt.Println(node.Set("greeting", cg.Text("hello")))
	fmt.Println(node.Set("greeting", cg.Text("hello"), cg.IfChanged()))
	fmt.Println(node.Set("session", cg.Bytes{1, 2, 3}, cg.TTL(time.Minute)))
	_, err = node.Set("cluster:topology", cg.Int(1))
	fmt.Println(errors.Is(err, cg.ErrReservedKey))
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 2 <nil>
	// true
}

func ExampleNode_GetOwn() {
	node, err := cg.Open(cg.Config{"bind": "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	node.Set("answer", cg.Int(42))
	entry, found, err := node.GetOwn("answer")
	if err != nil || !found {
		panic(err)
	}
	switch value := entry.Value.(type) {
	case cg.Int:
		fmt.Println("a number:", int64(value))
	case cg.Text:
		fmt.Println("a text:", string(value))
	}
	// Output: a number: 42
}

func ExampleNode_Changes() {
	node, err := cg.Open(cg.Config{"bind": "127.0.0.1:0", "id": "me"})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	node.Set("colour", cg.Text("red"))

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // Ends the channel.
	changes, err := node.Changes(ctx, cg.Filter{Kinds: cg.KindEntries | cg.KindMembers, Initial: true})
	if err != nil {
		panic(err)
	}
	for change := range changes {
		fmt.Println(change.Kind, change.Member, change.Key, change.Value)
		if change.Kind == cg.KindInitialDone {
			break
		}
	}
	// Output:
	// MemberJoined me  <nil>
	// EntryChanged me colour red
	// InitialDone   <nil>
}

func ExampleNode_Subscribe() {
	node, err := cg.Open(cg.Config{"bind": "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	subscription, err := node.Subscribe(cg.Filter{Prefix: "counter:"})
	if err != nil {
		panic(err)
	}
	defer subscription.Close()
	for i := range 1000 {
		node.Set("counter:a", cg.Int(i))
	}
	// Nobody took any: they are one change now.
	changes, err := subscription.Take(context.Background())
	if err != nil {
		panic(err)
	}
	for _, change := range changes {
		fmt.Println(change.Key, change.Value, "stands for", change.Conflated)
	}
	// Output: counter:a 999 stands for 1000
}

func ExampleNode_LogTo() {
	node, err := cg.Open(cg.Config{"bind": "127.0.0.1:0", "log_level": "info"})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	if err := node.LogTo(context.Background(), slog.Default().WithGroup("gossip")); err != nil {
		panic(err)
	}
	// Output:
}
