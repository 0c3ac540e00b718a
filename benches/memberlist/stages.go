package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// Who is not known by then is left to the exchange of whole states, every 30 s and rarer in large clusters.
	limit       = 20 * time.Second
	spreadLimit = 10 * time.Second
	crashLimit  = 60 * time.Second
	// After joining, until nothing is left of it.
	quiet = 4 * time.Second
	// After an update: it is sent a number of times, once in each gossip interval of 200 ms.
	settle = 4 * time.Second
)

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile sorts the values.
func quantile(values []float64, share float64) any {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return values[int(math.Round(share*float64(len(values)-1)))]
}

// waitForAll waits until done is true of each, one after the other: what is looked for stays true once it is.
func waitForAll(start time.Time, limit, look time.Duration, all []*member, done func(*member) bool) (time.Duration, bool) {
	for _, m := range all {
		for !done(m) {
			if time.Since(start) > limit {
				return 0, false
			}
			time.Sleep(look)
		}
	}
	return time.Since(start), true
}

// message is an update of so many bytes that a compressor cannot make much smaller.
func (c *cluster) message(size int) []byte {
	c.number++
	message := make([]byte, size)
	for i := range message {
		message[i] = byte('!' + rand.IntN('~'-'!'+1))
	}
	binary.LittleEndian.PutUint64(message, c.number)
	return message
}

func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func residentMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err != nil {
				panic(err)
			}
			return kib / 1024
		}
	}
	return math.NaN()
}

// open starts n members, all at once or bit by bit, and gives the time until all know all, if they do.
func open(n int, atOnce bool) (*cluster, time.Duration, bool, error) {
	c := &cluster{}
	began := time.Now()
	for i := range n {
		m, err := c.add()
		if err != nil {
			return nil, 0, false, err
		}
		if !atOnce && i > 0 {
			if err := c.join([]*member{m}); err != nil {
				return nil, 0, false, err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if atOnce {
		if err := c.join(c.members[1:]); err != nil {
			return nil, 0, false, err
		}
	} else {
		began = time.Now()
	}
	took, ok := waitForAll(began, limit, time.Millisecond, c.members, func(m *member) bool { return m.list.NumMembers() == n })
	return c, took, ok, nil
}

// start measures how long clusters take to come together, if it is to report, and gives the last one.
func start(o options, report bool) (*cluster, error) {
	runs := 1
	if report {
		runs = o.runs("start", 5)
	}
	var c *cluster
	var times []float64
	missed := 0
	for {
		var took time.Duration
		var ok bool
		var err error
		if c, took, ok, err = open(o.members, report); err != nil {
			return nil, err
		}
		if ok {
			times = append(times, ms(took))
		} else {
			missed++
		}
		// One that does not come together is taken as it is, rather than tried for ever.
		if len(times)+missed >= runs && ok || missed > 1 {
			if !ok {
				fmt.Fprintf(os.Stderr, "memberlist: not all of %d members know each other after %v\n", o.members, limit)
			}
			break
		}
		c.close()
	}
	if report {
		say("start", map[string]any{"median_ms": quantile(times, 0.5), "max_ms": quantile(times, 1), "runs": len(times), "missed": missed})
	}
	time.Sleep(quiet)
	return c, nil
}

func idle(c *cluster, o options) {
	sent, used, began := c.sent.Load(), cpu(), time.Now()
	time.Sleep(time.Duration(o.seconds * float64(time.Second)))
	used, seconds := cpu()-used, time.Since(began).Seconds()
	each := float64(len(c.here))
	say("idle", map[string]any{
		"bytes_per_second":  float64(c.sent.Load()-sent) / seconds / each,
		"cpu_ms_per_second": ms(used) / seconds / each,
		"resident_mib":      residentMiB(),
		"seconds":           seconds,
	})
}

// bytesOfUpdates sends one update of 1 KiB at a time, with all that it causes, less what is sent anyway.
func bytesOfUpdates(c *cluster, o options) {
	updates := o.runs("bytes", 5)
	time.Sleep(settle)
	sent := c.sent.Load()
	began := time.Now()
	time.Sleep(time.Duration(updates) * settle)
	idle := float64(c.sent.Load()-sent) / time.Since(began).Seconds()
	sent, began = c.sent.Load(), time.Now()
	for range updates {
		c.here[rand.IntN(len(c.here))].set(c.message(1024))
		time.Sleep(settle)
	}
	caused := float64(c.sent.Load()-sent) - idle*time.Since(began).Seconds()
	needed := float64(updates * (len(c.here) - 1) * 1024)
	say("bytes", map[string]any{"ratio": caused / needed, "updates": updates, "idle_bytes_per_second": idle})
}

func spread(c *cluster, o options, stage string, size int) {
	runs := o.runs(stage, 30)
	var times []float64
	lost := 0
	for range runs {
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
		message := c.message(size)
		began := time.Now()
		c.here[rand.IntN(len(c.here))].set(message)
		took, ok := waitForAll(began, spreadLimit, time.Millisecond, c.here, func(m *member) bool { return m.latest.Load() >= c.number })
		if ok {
			times = append(times, ms(took))
		} else {
			lost++
		}
	}
	say(stage, map[string]any{"median_ms": quantile(times, 0.5), "p99_ms": quantile(times, 0.99), "runs": runs, "lost": lost})
}

// crash ends a member without a word, its sockets closed, until each of the others has taken it out of its live members.
// Another takes its place for the next run.
func crash(c *cluster, o options) error {
	runs := o.runs("crash", 5)
	var times []float64
	missed := 0
	for range runs {
		// Not the first: it is the seed of those who come later.
		i := 1 + rand.IntN(len(c.here)-1)
		gone := c.here[i]
		c.here = slices.Delete(c.here, i, i+1)
		time.Sleep(rand.N(time.Second))
		began := time.Now()
		c.crash(gone)
		took, ok := waitForAll(began, crashLimit, 5*time.Millisecond, c.here, func(m *member) bool { return m.misses(gone.name) })
		if !ok {
			missed++
			break
		}
		times = append(times, ms(took))
		m, err := c.add()
		if err != nil {
			return err
		}
		if err := c.join([]*member{m}); err != nil {
			return err
		}
		if _, ok := waitForAll(time.Now(), limit, 5*time.Millisecond, c.here, func(m *member) bool { return m.list.NumMembers() == len(c.here) }); !ok {
			break
		}
		time.Sleep(quiet / 4)
	}
	median := quantile(times, 0.5)
	if missed > 0 {
		median = nil
	}
	say("crash", map[string]any{"median_ms": median, "max_ms": quantile(times, 1), "runs": len(times), "missed": missed})
	return nil
}
