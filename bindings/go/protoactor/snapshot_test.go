package protoactor

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/cluster"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	clustergossip "github.com/cluster-gossip/cluster-gossip/bindings/go"
	"github.com/cluster-gossip/cluster-gossip/bindings/go/pb"
)

const patience = 2 * time.Minute

func open(t *testing.T, id, seed string) *clustergossip.Node {
	t.Helper()
	node, err := clustergossip.Open(clustergossip.Config{"cluster": t.Name(), "id": id, "bind": "127.0.0.1:0", "seeds": seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	return node
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: does not come to hold", what)
		}
	}
}

// decode decodes a node's snapshot with Proto.Actor's own message, and refuses what that has no field for.
func decode(t *testing.T, node *clustergossip.Node) *cluster.GossipState {
	t.Helper()
	bytes, err := node.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	state := &cluster.GossipState{}
	if err := proto.Unmarshal(bytes, state); err != nil {
		t.Fatal(err)
	}
	known(t, "GossipState", state)
	for id, member := range state.Members {
		known(t, id, member)
		for key, value := range member.Values {
			known(t, id+" "+key, value)
		}
	}
	return state
}

func known(t *testing.T, what string, message proto.Message) {
	t.Helper()
	if unknown := message.ProtoReflect().GetUnknown(); len(unknown) != 0 {
		t.Errorf("%s has fields that Proto.Actor does not know: %x", what, unknown)
	}
}

// valueOf gives the value of a member's entry as a message of its own type.
func valueOf(t *testing.T, state *cluster.GossipState, member, key string) proto.Message {
	t.Helper()
	entry := state.GetMembers()[member].GetValues()[key]
	if entry == nil {
		t.Fatalf("%s of %s is not in the snapshot", key, member)
	}
	message, err := entry.Value.UnmarshalNew()
	if err != nil {
		t.Fatalf("%s of %s: %v", key, member, err)
	}
	return message
}

func TestSnapshot(t *testing.T) {
	writer := open(t, "writer", "")
	reader := open(t, "leser-ü", writer.Address())

	heartbeat := &cluster.MemberHeartbeat{ActorStatistics: &cluster.ActorStatistics{ActorCount: map[string]int64{"grain": 3, "other": 1 << 40}}}
	topology := &cluster.ClusterTopology{
		TopologyHash: math.MaxUint64,
		Members:      []*cluster.Member{{Host: "10.0.0.1", Port: 4711, Id: "a", Kinds: []string{"grain", "other"}}},
		Joined:       []*cluster.Member{{Host: "::1", Port: 1, Id: "b"}},
		Blocked:      []string{"c"},
	}
	expected := map[string]proto.Message{
		"text":      wrapperspb.String("grüße\x00 ✓"),
		"no text":   wrapperspb.String(""),
		"true":      wrapperspb.Bool(true),
		"false":     wrapperspb.Bool(false),
		"int":       wrapperspb.Int64(math.MinInt64),
		"double":    wrapperspb.Double(-0.1),
		"heartbeat": heartbeat,
		"topology":  topology,
		"schlüssel": wrapperspb.String("of a Unicode key"),
	}
	before := time.Now().UnixMilli()
	sequence := map[string]uint64{}
	set := func(key string, value clustergossip.Value) {
		seq, err := writer.Set(key, value)
		if err != nil {
			t.Fatal(err)
		}
		sequence[key] = seq
	}
	set("text", clustergossip.Text("grüße\x00 ✓"))
	set("no text", clustergossip.Text(""))
	set("true", clustergossip.Bool(true))
	set("false", clustergossip.Bool(false))
	set("int", clustergossip.Int(math.MinInt64))
	set("double", clustergossip.Float(-0.1))
	set("schlüssel", clustergossip.Text("of a Unicode key"))
	for key, message := range map[string]proto.Message{"heartbeat": heartbeat, "topology": topology} {
		value, err := pb.ValueOf(message)
		if err != nil {
			t.Fatal(err)
		}
		set(key, value)
	}
	set("bytes", clustergossip.Bytes{0, 0xff, 0})
	set("large", clustergossip.Bytes(make([]byte, 60_000)))
	set("deleted", clustergossip.Text("not there any more"))
	if err := writer.Delete("deleted"); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Set("own", clustergossip.Int(1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := reader.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	until(t, "both have all", func() bool {
		there, err := reader.Entries("")
		if err != nil {
			t.Fatal(err)
		}
		_, found, err := writer.GetFrom("leser-ü", "own")
		if err != nil {
			t.Fatal(err)
		}
		return len(there) == len(expected)+3 && found
	})
	after := time.Now().UnixMilli()

	for _, node := range []*clustergossip.Node{writer, reader} {
		state := decode(t, node)
		if ids := slices.Sorted(maps.Keys(state.Members)); !slices.Equal(ids, []string{"leser-ü", "writer"}) {
			t.Errorf("members: %q", ids)
		}
		values := state.Members["writer"].Values
		if len(values) != len(expected)+2 {
			t.Errorf("%d entries of the writer: %q", len(values), slices.Sorted(maps.Keys(values)))
		}
		for key, message := range expected {
			if found := valueOf(t, state, "writer", key); !proto.Equal(found, message) {
				t.Errorf("%s: %v, not %v", key, found, message)
			}
		}
		for key, seq := range sequence {
			entry := values[key]
			if key == "deleted" {
				if entry != nil {
					t.Errorf("a deleted entry is there: %v", entry)
				}
				continue
			}
			if entry.SequenceNumber != int64(seq) {
				t.Errorf("%s has the sequence number %d, not %d", key, entry.SequenceNumber, seq)
			}
			// Ages are counted in whole milliseconds.
			if stamp := entry.LocalTimestampUnixMilliseconds; stamp < before-2 || stamp > after+2 {
				t.Errorf("%s was received at %d, not between %d and %d", key, stamp, before, after)
			}
		}
		if bytes := values["bytes"].Value; bytes.TypeUrl != "" || string(bytes.Value) != "\x00\xff\x00" {
			t.Errorf("bytes: %v", bytes)
		}
		if large := values["large"].Value; len(large.Value) != 60_000 {
			t.Errorf("%d large bytes", len(large.Value))
		}
		if own := valueOf(t, state, "leser-ü", "own"); !proto.Equal(own, wrapperspb.Int64(1)) {
			t.Errorf("own: %v", own)
		}
	}
}

// What Proto.Actor's own code encodes as Any, a member reads, and the other way round: through pb, in one program with its messages.
func TestMessagesOfProtoActor(t *testing.T) {
	node := open(t, "node", "")
	heartbeat := &cluster.MemberHeartbeat{ActorStatistics: &cluster.ActorStatistics{ActorCount: map[string]int64{"grain": 3}}}
	packed, err := anypb.New(heartbeat)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Set("heartbeat", clustergossip.Message{TypeURL: packed.TypeUrl, Bytes: packed.Value}); err != nil {
		t.Fatal(err)
	}
	found, err := pb.Get[*cluster.MemberHeartbeat](node, "heartbeat")
	if err != nil || !proto.Equal(found["node"], heartbeat) {
		t.Errorf("%v, %v", found, err)
	}
	if !strings.HasSuffix(packed.TypeUrl, "/cluster.MemberHeartbeat") {
		t.Errorf("type URL %s", packed.TypeUrl)
	}
}

func TestSnapshotOfManyEntries(t *testing.T) {
	const entries = 10_000
	node := open(t, "node", "")
	for i := range entries {
		if _, err := node.Set(fmt.Sprintf("key:%d", i), clustergossip.Int(i)); err != nil {
			t.Fatal(err)
		}
	}
	state := decode(t, node)
	if found := len(state.Members["node"].Values); found != entries {
		t.Fatalf("%d entries", found)
	}
	for i := range entries {
		if value := valueOf(t, state, "node", fmt.Sprintf("key:%d", i)); !proto.Equal(value, wrapperspb.Int64(int64(i))) {
			t.Fatalf("entry %d is %v", i, value)
		}
	}
}
