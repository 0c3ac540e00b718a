package clustergossip_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

const scenarioFile = "../../tests/scenario.txt"

// TestScenario runs the file that the tests of every binding run; its header explains the steps.
func TestScenario(t *testing.T) {
	text, err := os.ReadFile(scenarioFile)
	must(t, err)
	r := runner{nodes: map[string]*cg.Node{}, addresses: map[string]string{}, feeds: map[string]*feed{}}
	defer func() {
		for _, node := range r.nodes {
			node.Close()
		}
	}()
	steps := 0
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := r.run(strings.Split(line, " ")); err != nil {
			t.Fatalf("%s, line %d: %s: %v", scenarioFile, number+1, line, err)
		}
		steps++
	}
	if steps <= 50 {
		t.Errorf("only %d steps", steps)
	}
}

var (
	scenarioKinds = map[string]cg.Kind{"entries": cg.KindEntries, "members": cg.KindMembers, "node": cg.KindNode, "all": cg.KindAll}
	eventKinds    = map[string]cg.Kind{
		"entry_changed": cg.KindEntryChanged, "entry_deleted": cg.KindEntryDeleted, "member_joined": cg.KindMemberJoined,
		"member_left": cg.KindMemberLeft, "member_updated": cg.KindMemberUpdated, "initial_done": cg.KindInitialDone,
		"member_dead": cg.KindMemberDead, "member_banned": cg.KindMemberBanned, "member_unbanned": cg.KindMemberUnbanned,
		"topology": cg.KindTopology,
	}
)

// runner has the nodes and subscriptions of the scenario.
type runner struct {
	nodes     map[string]*cg.Node
	addresses map[string]string
	feeds     map[string]*feed
}

// feed is a channel of changes and what ends it.
type feed struct {
	changes <-chan cg.Change
	cancel  context.CancelFunc
}

// word decodes %XX.
func word(w string) string {
	decoded, err := url.PathUnescape(w)
	if err != nil {
		panic(fmt.Sprintf("the word %q: %v", w, err))
	}
	return decoded
}

// orEmpty is a word of which "-" is none.
func orEmpty(w string) string {
	if w == "-" {
		return ""
	}
	return word(w)
}

// scenarioValue is the value that a step names, as Go has it.
func scenarioValue(kind, w string) (cg.Value, error) {
	raw := func() ([]byte, error) {
		if w == "-" {
			return []byte{}, nil
		}
		return hex.DecodeString(w)
	}
	if typeURL, message := strings.CutPrefix(kind, "message:"); message {
		bytes, err := raw()
		return cg.Message{TypeURL: typeURL, Bytes: bytes}, err
	}
	switch kind {
	case "bytes":
		bytes, err := raw()
		return cg.Bytes(bytes), err
	case "text":
		if w == "-" {
			return cg.Text(""), nil
		}
		return cg.Text(word(w)), nil
	case "bool":
		value, err := strconv.ParseBool(w)
		return cg.Bool(value), err
	case "int":
		value, err := strconv.ParseInt(w, 10, 64)
		return cg.Int(value), err
	case "double":
		value, err := strconv.ParseFloat(w, 64)
		return cg.Float(value), err
	}
	return nil, fmt.Errorf("no kind of value: %s", kind)
}

var topologyHash = regexp.MustCompile("^[0-9a-f]{16}$")

var addressOf = regexp.MustCompile(`@\w+`)

// setting is a setting's value: @a is the address of node a.
func (r *runner) setting(w string) string {
	return addressOf.ReplaceAllStringFunc(word(w), func(name string) string { return r.addresses[name[1:]] })
}

// try tries until it holds.
func try(holds func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		if done, err := holds(); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("does not come to hold")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *runner) run(words []string) error {
	step, args := words[0], words[1:]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch step {
	case "open":
		return r.open(args[0], args[1:])
	case "fails":
		err := r.run(args[1:])
		var found *cg.Error
		if !errors.As(err, &found) || found.Name != args[0] {
			return fmt.Errorf("ends with %v", err)
		}
		return nil
	case "event":
		return r.event(r.feeds[args[0]], args[1], args[2:])
	case "unsubscribe":
		feed := r.feeds[args[0]]
		feed.cancel()
		for range feed.changes {
			// The end of the channel shows the end of the subscription.
		}
		return nil
	}
	node := r.nodes[args[0]]
	args = args[1:]
	switch step {
	case "wait_members":
		count, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return node.WaitForMembers(ctx, count)
	case "synced":
		return node.WaitSynced(ctx)
	case "state":
		return try(func() (bool, error) {
			state, err := node.State()
			return state.String() == args[0], err
		})
	case "member":
		return try(func() (bool, error) {
			members, err := node.Members(cg.Departed())
			return slices.ContainsFunc(members, func(m cg.Member) bool { return m.ID == word(args[0]) && m.Status.String() == args[1] }), err
		})
	case "subscribe":
		return r.subscribe(node, args)
	case "set", "set_same", "set_ttl":
		return r.set(node, step, args)
	case "delete":
		return node.Delete(word(args[0]))
	case "get":
		expected, err := scenarioValue(args[2], args[3])
		if err != nil {
			return err
		}
		return try(func() (bool, error) {
			entry, found, err := read(node, args[0], args[1])
			return found && cg.Equal(entry.Value, expected), err
		})
	case "gone":
		return try(func() (bool, error) {
			_, found, err := read(node, args[0], args[1])
			return !found, err
		})
	case "count":
		return try(func() (bool, error) {
			entries, err := node.Get(word(args[0]))
			return strconv.Itoa(len(entries)) == args[1], err
		})
	case "reconfigure":
		return node.Reconfigure(cg.Config{args[0]: r.setting(args[1])})
	case "leave":
		// The node has left also where too few have acknowledged it, as is so with one of the members killed.
		if err := node.Leave(ctx); err != nil && !errors.Is(err, cg.ErrTimeout) {
			return err
		}
		return nil
	case "ban":
		return node.Ban(orEmpty(args[0]))
	case "unban":
		return node.Unban(orEmpty(args[0]))
	case "bans":
		return try(func() (bool, error) {
			bans, err := node.Bans()
			found := []string{}
			for _, ban := range bans {
				found = append(found, ban.Member+":"+ban.By)
			}
			slices.Sort(args)
			return slices.Equal(found, args), err
		})
	case "statistic":
		if args[1] == "-" {
			return node.DeleteStatistic(orEmpty(args[0]))
		}
		value, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return node.SetStatistic(orEmpty(args[0]), value)
	case "heartbeat":
		return try(func() (bool, error) {
			heartbeats, err := node.Heartbeats()
			statistics, published := heartbeats[word(args[0])]
			value, found := statistics[word(args[1])]
			if args[2] == "-" {
				return published && !found, err
			}
			return found && strconv.FormatInt(value, 10) == args[2], err
		})
	case "kill":
		return node.Kill()
	case "close":
		return node.Close()
	}
	return fmt.Errorf("no step: %s", step)
}

func (r *runner) open(name string, settings []string) error {
	config := cg.Config{}
	for _, each := range settings {
		key, value, _ := strings.Cut(each, "=")
		config[key] = r.setting(value)
	}
	node, err := cg.Open(config)
	if err != nil {
		return err
	}
	r.nodes[name], r.addresses[name] = node, node.Address()
	return nil
}

func (r *runner) subscribe(node *cg.Node, args []string) error {
	name, what, member, key, flags := args[0], args[1], args[2], args[3], args[4]
	filter := cg.Filter{Kinds: scenarioKinds[what]}
	prefix := false
	if flags != "-" {
		for _, flag := range strings.Split(flags, ",") {
			switch flag {
			case "initial":
				filter.Initial = true
			case "no_self":
				filter.NoSelf = true
			case "prefix":
				prefix = true
			default:
				return fmt.Errorf("no flag: %s", flag)
			}
		}
	}
	if member != "-" {
		filter.Member = word(member)
	}
	if key != "-" && prefix {
		filter.Prefix = word(key)
	} else if key != "-" {
		filter.Key = word(key)
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes, err := node.Changes(ctx, filter)
	r.feeds[name] = &feed{changes, cancel}
	return err
}

func (r *runner) set(node *cg.Node, step string, args []string) error {
	key := ""
	if args[0] != "-" {
		key = word(args[0])
	}
	value, err := scenarioValue(args[1], args[2])
	if err != nil {
		return err
	}
	switch step {
	case "set_ttl":
		ms, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		_, err = node.Set(key, value, cg.TTL(time.Duration(ms)*time.Millisecond))
		return err
	case "set_same":
		before, found, err := node.GetOwn(key)
		if err != nil || !found {
			return fmt.Errorf("there is no entry (%v)", err)
		}
		seq, err := node.Set(key, value, cg.IfChanged())
		if err != nil {
			return err
		}
		after, _, err := node.GetOwn(key)
		if seq != before.Seq || after.Seq != before.Seq {
			return fmt.Errorf("sequence numbers %d, %d, %d", before.Seq, seq, after.Seq)
		}
		return err
	}
	_, err = node.Set(key, value)
	return err
}

func read(node *cg.Node, member, key string) (cg.Entry, bool, error) {
	if member == "own" {
		return node.GetOwn(word(key))
	}
	return node.GetFrom(word(member), word(key))
}

func (r *runner) event(feed *feed, kind string, words []string) error {
	wanted, known := eventKinds[kind]
	if !known && kind != "closed" {
		return fmt.Errorf("no kind of event: %s", kind)
	}
	deadline := time.After(patience)
	for {
		select {
		case change, more := <-feed.changes:
			if !more {
				// How a channel shows that the node was closed.
				if kind == "closed" {
					return nil
				}
				return errors.New("the subscription has ended")
			}
			if topology := change.Topology(); topology != nil && change.Kind == wanted {
				if !topologyHash.MatchString(topology.Hash) {
					return fmt.Errorf("the hash of a topology is %q", topology.Hash)
				}
				if strconv.Itoa(topology.Members) == words[0] {
					return nil
				}
				continue
			}
			if change.Kind != wanted || len(words) > 0 && change.Member != word(words[0]) || len(words) > 1 && change.Key != word(words[1]) {
				continue
			}
			if len(words) > 2 {
				value, err := scenarioValue(words[2], words[3])
				if err != nil {
					return err
				}
				if !cg.Equal(change.Value, value) {
					continue
				}
			}
			return nil
		case <-deadline:
			return errors.New("the event does not come")
		}
	}
}
