// Figures of hashicorp/memberlist with its defaults for a LAN, as its peers in benches/cluster take them: all members in
// this process, on 127.0.0.1.
//
//	memberlist-bench STAGE,STAGE... [-members N] [-seconds S] [-runs STAGE=N,...]
//
// prints a line of JSON for each stage. memberlist has members but no shared state. Where an update is measured it is a
// user message in its broadcast queue, which each member that receives it queues again, as programs on top of memberlist
// do.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

type options struct {
	members int
	seconds float64
	// Repetitions by stage, where they are not to be the stage's own number.
	repeat map[string]int
}

// runs is how often the stage does what it repeats; usual if nothing else was asked for.
func (o options) runs(stage string, usual int) int {
	if runs, ok := o.repeat[stage]; ok {
		return max(runs, 1)
	}
	return usual
}

// say prints what a stage has measured.
func say(stage string, figures map[string]any) {
	figures["stage"] = stage
	line, err := json.Marshal(figures)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func run() error {
	if len(os.Args) < 2 {
		return fmt.Errorf("usage: memberlist-bench STAGE,STAGE... [-members N] [-seconds S] [-runs STAGE=N,...]")
	}
	o := options{repeat: map[string]int{}}
	flags := flag.NewFlagSet("memberlist-bench", flag.ContinueOnError)
	flags.IntVar(&o.members, "members", 2, "members of the cluster")
	flags.Float64Var(&o.seconds, "seconds", 20, "length of an idle window")
	flags.Func("runs", "repetitions, `stage=number,...`", func(text string) error {
		for part := range strings.SplitSeq(text, ",") {
			stage, number, _ := strings.Cut(part, "=")
			runs, err := strconv.Atoi(number)
			if err != nil {
				return fmt.Errorf("%s: not stage=number", part)
			}
			o.repeat[stage] = runs
		}
		return nil
	})
	if err := flags.Parse(os.Args[2:]); err != nil {
		return err
	}
	if o.members < 2 {
		return fmt.Errorf("-members: 2 or more")
	}
	var c *cluster
	for _, stage := range strings.Split(os.Args[1], ",") {
		var err error
		if c == nil || stage == "start" {
			if c != nil {
				c.close()
			}
			if c, err = start(o, stage == "start"); err != nil {
				return err
			}
		}
		switch stage {
		case "start":
		case "idle":
			idle(c, o)
		case "bytes":
			bytesOfUpdates(c, o)
		case "spread64":
			spread(c, o, stage, 64)
		case "spread1024":
			spread(c, o, stage, 1024)
		case "crash":
			err = crash(c, o)
		default:
			err = fmt.Errorf("%s: there is no such stage", stage)
		}
		if err != nil {
			return err
		}
	}
	c.close()
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "memberlist-bench:", err)
		os.Exit(1)
	}
}
