// Command bench measures what the Go binding costs over bare cgo calls of the library, and how many changes a second it reads.
//
//	bench [--json FILE] [--quick]
//
// It prints for each mark what the binding does and, as the peer, the same calls of the library through cgo with nothing made of their results.
// The JSON is a list of {mark, ours, peer, ratio}; times are nanoseconds, rates are changes a second; ratio is ours / peer. Each figure
// is the best of several rounds, since all that disturbs a round makes it slower.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

const (
	members  = 8
	rounds   = 7
	key      = "bench"
	prefix   = "event:"
	rateMark = 500_000
	patience = time.Minute
)

var value = bytes.Repeat([]byte("x"), 64)

type row struct {
	Mark  string  `json:"mark"`
	Ours  float64 `json:"ours"`
	Peer  float64 `json:"peer"`
	Ratio float64 `json:"ratio"`
}

// report has the figures: as text at once, and as JSON at the end.
type report struct {
	rows []row
}

func (r *report) add(mark string, ours, peer float64) {
	r.rows = append(r.rows, row{mark, math.Round(ours*10) / 10, math.Round(peer*10) / 10, math.Round(ours/peer*1000) / 1000})
	fmt.Printf("%-44s%12.0f%12.0f%8.2f\n", mark, ours, peer, ours/peer)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// best gives nanoseconds of a call.
func best(calls int, work func()) float64 {
	shortest := math.Inf(1)
	for range rounds {
		start := time.Now()
		for range calls {
			work()
		}
		shortest = min(shortest, float64(time.Since(start).Nanoseconds())/float64(calls))
	}
	return shortest
}

func calls(node *cg.Node, other string, bare *bare, report *report, count int) {
	fmt.Printf("%-44s%12s%12.0f\n", "(crossing into C and back, ns)", "", best(count, nothing))
	report.add("get, one member's, ns", best(count, func() {
		_, found, err := node.GetFrom(other, key)
		check(err)
		if !found {
			panic("the entry is gone")
		}
	}), best(count, bare.getter(other)))
	report.add("get, own, ns", best(count, func() {
		_, _, err := node.GetOwn(key)
		check(err)
	}), best(count, bare.getOwn))
	report.add(fmt.Sprintf("get, all of %d members, ns", members), best(count/4, func() {
		_, err := node.Get(key)
		check(err)
	}), best(count/4, bare.getter("")))
	report.add("set of 64 bytes, ns", best(count, func() {
		_, err := node.Set(key, cg.Bytes(value))
		check(err)
	}), best(count, bare.set))
}

// rate gives changes a second of the fastest round; work calls start when the changes are there to be taken.
func rate(count int, work func(start func())) float64 {
	highest := 0.0
	for range rounds {
		var begun time.Time
		work(func() { begun = time.Now() })
		highest = max(highest, float64(count)/time.Since(begun).Seconds())
	}
	return highest
}

func events(node *cg.Node, bare *bare, report *report, count int) {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	fill := func() {
		for _, key := range keys {
			_, err := node.Set(key, cg.Bytes(value))
			check(err)
		}
	}
	filter := cg.Filter{Prefix: prefix, Member: node.ID()}
	peer := rate(count, func(start func()) { bare.events(prefix, count, bare.setKey, keys, start) })
	report.add("changes a second, Take, 64 bytes each", rate(count, func(start func()) {
		subscription, err := node.Subscribe(filter)
		check(err)
		defer subscription.Close()
		fill()
		start()
		for seen := 0; seen < count; {
			changes, err := subscription.Take(context.Background())
			check(err)
			seen += len(changes)
		}
	}), peer)
	report.add("changes a second, channel, 64 bytes each", rate(count, func(start func()) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		changes, err := node.Changes(ctx, filter)
		check(err)
		fill()
		start()
		// What the channel holds by now was read before the clock ran: 128 of them, which is nothing to 100,000.
		for seen := 0; seen < count; seen++ {
			<-changes
		}
	}), peer)
}

func main() {
	file := flag.String("json", "", "also write the figures to this file")
	quick := flag.Bool("quick", false, "fewer calls: shows that it runs, the figures are rough")
	flag.Parse()
	count, keys := 200_000, 100_000
	if *quick {
		count, keys = 2_000, 5_000
	}

	report := &report{}
	fmt.Printf("%-44s%12s%12s%8s\n", "mark", "ours", "peer", "ratio")
	cluster := fmt.Sprintf("bench-%d", os.Getpid())
	config := cg.Config{"cluster": cluster, "bind": "127.0.0.1:0"}
	node, err := cg.Open(config)
	check(err)
	config["seeds"] = node.Address()
	// The bare one is the last of the members, so that both look at the same cluster.
	others := make([]*cg.Node, members-2)
	for i := range others {
		others[i], err = cg.Open(config)
		check(err)
	}
	bare := openBare(bareSettings(cluster, node.Address()), key, value)
	bare.set()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	check(node.WaitForMembers(ctx, members))
	for _, each := range append(others, node) {
		_, err := each.Set(key, cg.Bytes(value))
		check(err)
	}
	for {
		found, err := node.Get(key)
		check(err)
		if len(found) == members {
			break
		}
		check(ctx.Err())
		time.Sleep(10 * time.Millisecond)
	}
	calls(node, others[0].ID(), bare, report, count)
	for _, each := range others {
		check(each.Close())
	}
	bare.close()
	check(node.Close())

	// Alone, each: what the other does must not be in the figures.
	node, err = cg.Open(cg.Config{"cluster": cluster, "bind": "127.0.0.1:0"})
	check(err)
	bare = openBare(bareSettings(cluster+"-bare", ""), key, value)
	events(node, bare, report, keys)
	bare.close()
	check(node.Close())

	fmt.Printf("mark: %d changes a second\n", rateMark)
	if *file != "" {
		text, err := json.MarshalIndent(report.rows, "", "  ")
		check(err)
		check(os.WriteFile(*file, append(text, '\n'), 0o644))
	}
}
