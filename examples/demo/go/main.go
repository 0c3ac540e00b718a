// Command demo is the Go program of the mixed-language demo: says hello, counts, follows the others.
//
// Each program of the demo, in whatever language, sets two keys: demo:greeting (a text) once, and demo:counter (an integer) four times a
// second. Its exit status is 0 if it saw the greeting and a changing counter of as many members as --expect says, itself included.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

const tick = 250 * time.Millisecond

// seen is what was seen of one member.
type seen struct {
	greeting string
	counter  cg.Int
	counted  bool
	changed  bool
}

// whole says whether it has greeted and counted.
func (s *seen) whole() bool {
	return s.greeting != "" && s.changed
}

// note takes a change into account.
func note(members map[string]*seen, change cg.Change) {
	if change.Kind != cg.KindEntryChanged {
		return
	}
	member := members[change.Member]
	if member == nil {
		member = &seen{}
		members[change.Member] = member
	}
	switch value := change.Value.(type) {
	case cg.Text:
		if change.Key == "demo:greeting" {
			member.greeting = string(value)
		}
	case cg.Int:
		if change.Key == "demo:counter" {
			member.changed = member.changed || member.counted && member.counter != value
			member.counter, member.counted = value, true
		}
	}
}

// writeAtomically has whoever reads the file find all of the text or no file.
func writeAtomically(path, text string) error {
	temporary := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	if err := os.WriteFile(temporary, []byte(text+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

type options struct {
	language, seeds, addressFile string
	seconds                      float64
	expect                       int
}

// run is the demo until its time is over or a signal comes; it gives how many members it saw whole.
func run(options options) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := cg.Config{"cluster": "demo", "bind": "127.0.0.1:0", "tags": map[string]string{"language": options.language}}
	if options.seeds != "" {
		config["seeds"] = options.seeds
	}
	node, err := cg.Open(config)
	if err != nil {
		return 0, err
	}
	defer node.Close()
	changes, err := node.Changes(context.Background(), cg.Filter{Prefix: "demo:", Initial: true})
	if err != nil {
		return 0, err
	}
	if options.addressFile != "" {
		if err := writeAtomically(options.addressFile, node.Address()); err != nil {
			return 0, err
		}
	}
	if _, err := node.Set("demo:greeting", cg.Text("Hello from "+options.language)); err != nil {
		return 0, err
	}

	members := map[string]*seen{}
	end := time.NewTimer(time.Duration(options.seconds * float64(time.Second)))
	ticks := time.NewTicker(tick)
	counter := cg.Int(0)
	for going := true; going; {
		select {
		case change, more := <-changes:
			if !more {
				return 0, fmt.Errorf("the node has closed: %w", cg.ErrClosed)
			}
			note(members, change)
		case <-ticks.C:
			counter++
			if _, err := node.Set("demo:counter", counter); err != nil {
				return 0, err
			}
		case <-end.C:
			going = false
		case <-ctx.Done():
			going = false
		}
	}
	whole := 0
	for _, member := range members {
		if member.whole() {
			whole++
		}
	}
	return whole, nil
}

func main() {
	var options options
	flag.StringVar(&options.language, "language", "Go", "what it says of itself")
	flag.StringVar(&options.seeds, "seeds", "", "addresses of members to join, separated by commas; empty: starts a cluster")
	flag.Float64Var(&options.seconds, "seconds", 15, "how long it runs")
	flag.StringVar(&options.addressFile, "print-address", "", "`file` to write its own address to once it is up")
	flag.IntVar(&options.expect, "expect", 1, "how many members it must see, itself included")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: not understood: %s\n", flag.Arg(0))
		os.Exit(2)
	}
	whole, err := run(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	fmt.Printf("saw the greeting and the counter of %d of %d members\n", whole, options.expect)
	if whole < options.expect {
		os.Exit(1)
	}
}
