package clustergossip_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

var large = bytes.Repeat([]byte{0, 1, 2, 0xff, 'x', 0}, 10_000)

// Every value must come out exactly as it went in, at the writer and at another node.
var exact = map[string]cg.Value{
	"no bytes":               cg.Bytes{},
	"one byte":               cg.Bytes{0},
	"bytes with zeros":       cg.Bytes{0, 0xff, 0, 1},
	"60 kB":                  cg.Bytes(large),
	"text":                   cg.Text("plain"),
	"empty text":             cg.Text(""),
	"Unicode text":           cg.Text("grüße ✓ 🔑"),
	"text with zero byte":    cg.Text("a\x00b"),
	"large text":             cg.Text(strings.Repeat("ü", 30_000)),
	"true":                   cg.Bool(true),
	"false":                  cg.Bool(false),
	"zero":                   cg.Int(0),
	"minus one":              cg.Int(-1),
	"smallest int":           cg.Int(math.MinInt64),
	"largest int":            cg.Int(math.MaxInt64),
	"double":                 cg.Float(-0.1),
	"whole double":           cg.Float(1),
	"negative zero":          cg.Float(math.Copysign(0, -1)),
	"smallest double":        cg.Float(math.SmallestNonzeroFloat64),
	"largest double":         cg.Float(math.MaxFloat64),
	"infinity":               cg.Float(math.Inf(1)),
	"not a number":           cg.Float(math.NaN()),
	"message":                cg.Message{TypeURL: "type.example.org/shop.Order", Bytes: []byte{10, 5, 'h', 'e', 'l', 'l', 'o'}},
	"empty message":          cg.Message{TypeURL: "type.example.org/shop.Empty", Bytes: []byte{}},
	"longest type URL":       cg.Message{TypeURL: strings.Repeat("u", 255), Bytes: []byte{1}},
	"a Unicode key 🔑 Schlü":  cg.Text("key"),
	"zero\x00inside":         cg.Text("key with a zero byte"),
	strings.Repeat("k", 255): cg.Text("the longest key"),
}

func TestValuesExactly(t *testing.T) {
	writer, reader := pair(t)
	for key, value := range exact {
		set(t, writer, key, value)
		entry, found, err := writer.GetOwn(key)
		if err != nil || !found || !cg.Equal(entry.Value, value) {
			t.Errorf("own %q: %#v, %v, %v", key, entry.Value, found, err)
		}
	}
	for key, value := range exact {
		until(t, key, func() bool {
			_, found, err := reader.GetFrom("writer", key)
			must(t, err)
			return found
		})
		entry, _, err := reader.GetFrom("writer", key)
		must(t, err)
		if !cg.Equal(entry.Value, value) {
			t.Errorf("%q at the other node: %.100v, not %.100v", key, entry.Value, value)
		}
		if entry.Key != key || entry.Member != "writer" || entry.MemberStatus != cg.MemberAlive || entry.Generation == 0 || entry.Seq == 0 {
			t.Errorf("%q at the other node: %+v", key, entry)
		}
	}
	entries, err := reader.Entries("", cg.OfMember("writer"))
	must(t, err)
	if len(entries) != len(exact) {
		t.Errorf("%d entries, not %d", len(entries), len(exact))
	}
	keys := []string{}
	for _, entry := range entries {
		keys = append(keys, entry.Key)
		if !cg.Equal(entry.Value, exact[entry.Key]) {
			t.Errorf("%q in the list: %.100v", entry.Key, entry.Value)
		}
	}
	if !slices.IsSorted(keys) {
		t.Errorf("the entries are not in the order of their keys: %q", keys)
	}
}

func TestEqual(t *testing.T) {
	values := []cg.Value{nil, cg.Bytes{}, cg.Bytes{1}, cg.Text(""), cg.Text("\x01"), cg.Bool(false), cg.Bool(true), cg.Int(0), cg.Int(1),
		cg.Float(0), cg.Float(1), cg.Float(math.NaN()), cg.Message{TypeURL: "a"}, cg.Message{TypeURL: "a", Bytes: []byte{1}}, cg.Message{TypeURL: "b"}}
	for i, a := range values {
		for j, b := range values {
			if cg.Equal(a, b) != (i == j) {
				t.Errorf("Equal(%#v, %#v) is %v", a, b, i != j)
			}
		}
	}
}

func TestSet(t *testing.T) {
	node := open(t, nil)
	first := set(t, node, "key", cg.Int(1))
	if again := set(t, node, "key", cg.Int(1)); again != first+1 {
		t.Errorf("sequence numbers %d, %d", first, again)
	}
	if same := set(t, node, "key", cg.Int(1), cg.IfChanged()); same != first+1 {
		t.Errorf("the same value, if changed: %d after %d", same, first+1)
	}
	if other := set(t, node, "key", cg.Float(1), cg.IfChanged()); other != first+2 {
		t.Errorf("another type, if changed: %d after %d", other, first+1)
	}
	// A message with the wrapper's type URL is what other languages' protobuf users write.
	set(t, node, "wrapped", cg.Message{TypeURL: "type.googleapis.com/google.protobuf.StringValue", Bytes: []byte{10, 2, 'h', 'i'}})
	entry, _, err := node.GetOwn("wrapped")
	must(t, err)
	if entry.Value != cg.Text("hi") || !bytes.Equal(entry.Raw, []byte{10, 2, 'h', 'i'}) {
		t.Errorf("a wrapped text: %+v", entry)
	}
	set(t, node, "short", cg.Text("lived"), cg.TTL(time.Nanosecond))
	until(t, "it has expired", func() bool {
		_, found, err := node.GetOwn("short")
		must(t, err)
		return !found
	})
}

func TestWhatIsNotAccepted(t *testing.T) {
	node := open(t, cg.Config{"max_value_size": "1KiB"})
	tries := map[string]struct {
		status cg.Status
		call   func() error
	}{
		"the empty key":           {cg.ErrInvalidKey, func() error { _, err := node.Set("", cg.Int(1)); return err }},
		"a key that is too long":  {cg.ErrInvalidKey, func() error { _, err := node.Set(strings.Repeat("k", 256), cg.Int(1)); return err }},
		"a key that is not UTF-8": {cg.ErrInvalidKey, func() error { _, err := node.Set("\xff", cg.Int(1)); return err }},
		"a reserved key":          {cg.ErrReservedKey, func() error { _, err := node.Set("cluster:topology", cg.Int(1)); return err }},
		"a value that is too large": {cg.ErrValueTooLarge, func() error {
			_, err := node.Set("key", cg.Bytes(make([]byte, 2000)))
			return err
		}},
		"text that is not UTF-8":       {cg.ErrInvalidArgument, func() error { _, err := node.Set("key", cg.Text("\xff")); return err }},
		"no value":                     {cg.ErrInvalidArgument, func() error { _, err := node.Set("key", nil); return err }},
		"a message without a type URL": {cg.ErrInvalidArgument, func() error { _, err := node.Set("key", cg.Message{}); return err }},
		"a type URL that is too long": {cg.ErrInvalidArgument, func() error {
			_, err := node.Set("key", cg.Message{TypeURL: strings.Repeat("u", 256)})
			return err
		}},
		"a type URL with a zero byte":       {cg.ErrInvalidArgument, func() error { _, err := node.Set("key", cg.Message{TypeURL: "a\x00b"}); return err }},
		"a time to live of 0":               {cg.ErrInvalidArgument, func() error { _, err := node.Set("key", cg.Int(1), cg.TTL(0)); return err }},
		"get of the empty key":              {cg.ErrInvalidKey, func() error { _, err := node.Get(""); return err }},
		"get_own of the empty key":          {cg.ErrInvalidKey, func() error { _, _, err := node.GetOwn(""); return err }},
		"the empty member":                  {cg.ErrInvalidArgument, func() error { _, _, err := node.GetFrom("", "key"); return err }},
		"a member with a zero byte":         {cg.ErrInvalidArgument, func() error { _, _, err := node.GetFrom("a\x00b", "key"); return err }},
		"a member that is too long":         {cg.ErrInvalidArgument, func() error { _, _, err := node.GetFrom(strings.Repeat("m", 256), "key"); return err }},
		"delete of nothing":                 {cg.ErrNotFound, func() error { return node.Delete("never there") }},
		"a key and a prefix":                {cg.ErrInvalidArgument, func() error { _, err := node.Subscribe(cg.Filter{Key: "a", Prefix: "b"}); return err }},
		"a kind that is none":               {cg.ErrInvalidArgument, func() error { _, err := node.Subscribe(cg.Filter{Kinds: 1 << 31}); return err }},
		"a negative number":                 {cg.ErrInvalidArgument, func() error { return node.WaitForMembers(patient(t), -1) }},
		"a setting that is none":            {cg.ErrUnknownSetting, func() error { _, err := node.Setting("clutser"); return err }},
		"a setting's name with a zero byte": {cg.ErrInvalidArgument, func() error { return node.Reconfigure(cg.Config{"ta\x00gs": "a=b"}) }},
	}
	for what, try := range tries {
		fails(t, what, try.call(), try.status)
	}
	entries, err := node.Entries("")
	must(t, err)
	if len(entries) != 0 {
		t.Errorf("something was set: %+v", entries)
	}
}

func TestGet(t *testing.T) {
	writer, reader := pair(t)
	set(t, writer, "key", cg.Text("of the writer"))
	set(t, reader, "key", cg.Text("of the reader"))
	set(t, writer, "other", cg.Int(1))
	until(t, "both are there", func() bool {
		entries, err := reader.Get("key")
		must(t, err)
		return len(entries) == 2
	})
	entries, err := reader.Get("key")
	must(t, err)
	if entries["writer"].Value != cg.Text("of the writer") || entries["reader"].Value != cg.Text("of the reader") {
		t.Errorf("get: %+v", entries)
	}
	if entries, err := reader.Get("nobody has it"); err != nil || entries == nil || len(entries) != 0 {
		t.Errorf("get of a key that nobody has: %v, %v", entries, err)
	}
	if _, found, err := reader.GetFrom("nobody", "key"); found || err != nil {
		t.Errorf("get of a member that is none: %v, %v", found, err)
	}
	must(t, writer.Close())
	until(t, "it has left", func() bool {
		_, found, err := reader.GetFrom("writer", "key")
		must(t, err)
		return !found
	})
	entry, found, err := reader.GetFrom("writer", "key", cg.Departed())
	if err != nil || !found || entry.MemberStatus != cg.MemberLeft || entry.Value != cg.Text("of the writer") {
		t.Errorf("departed: %+v, %v, %v", entry, found, err)
	}
	if entries, err := reader.Entries("k", cg.Departed()); err != nil || len(entries) != 2 {
		t.Errorf("departed entries: %+v, %v", entries, err)
	}
}

func TestMembers(t *testing.T) {
	name := cluster()
	first := open(t, cg.Config{"cluster": name, "id": "first", "tags": map[string]string{"role": "web", "zone": "a"}})
	second := open(t, cg.Config{"cluster": name, "id": "second", "seeds": []string{first.Address()}})
	must(t, second.WaitForMembers(patient(t), 2))
	members, err := second.Members()
	must(t, err)
	if len(members) != 2 || members[0].ID != "first" || members[1].ID != "second" {
		t.Fatalf("members: %+v", members)
	}
	if m := members[0]; m.Address != first.Address() || m.Status != cg.MemberAlive || m.IsSelf || len(m.Tags) != 2 || m.Tags["role"] != "web" ||
		m.Generation == 0 || m.StatusAge < 0 || m.StatusAge > patience {
		t.Errorf("the other: %+v", m)
	}
	if m := members[1]; !m.IsSelf || len(m.Tags) != 0 {
		t.Errorf("the node itself: %+v", m)
	}
	self, err := second.Self()
	must(t, err)
	if self.ID != second.ID() || self.Address != second.Address() || !self.IsSelf {
		t.Errorf("self: %+v", self)
	}
	must(t, second.Close())
	until(t, "it has left", func() bool {
		members, err := first.Members(cg.Departed())
		must(t, err)
		return len(members) == 2 && members[1].Status == cg.MemberLeft
	})
	if members, err := first.Members(); err != nil || len(members) != 1 {
		t.Errorf("after it has left: %+v, %v", members, err)
	}
}

func TestDocuments(t *testing.T) {
	writer, reader := pair(t)
	set(t, writer, "key", cg.Text("value"))
	until(t, "it is there", func() bool {
		_, found, err := reader.GetFrom("writer", "key")
		must(t, err)
		return found
	})
	page, err := reader.Describe()
	if err != nil || !strings.Contains(page, "writer") || !strings.Contains(page, reader.Address()) {
		t.Errorf("describe: %v\n%s", err, page)
	}
	snapshot, err := reader.SnapshotJSON()
	must(t, err)
	var state struct {
		Members map[string]map[string]struct {
			SequenceNumber uint64 `json:"sequence_number"`
		}
	}
	must(t, json.Unmarshal(snapshot, &state))
	if state.Members["writer"]["key"].SequenceNumber != 1 {
		t.Errorf("snapshot: %s", snapshot)
	}
	packed, err := reader.Snapshot()
	if err != nil || !bytes.Contains(packed, []byte("StringValue")) {
		t.Errorf("snapshot: %q, %v", packed, err)
	}
	until(t, "the writer is known to have what the reader has", func() bool {
		offsets, err := writer.Offsets()
		must(t, err)
		return offsets["reader"]["writer"] == 1
	})
	metrics, err := reader.Metrics()
	if err != nil || metrics["datagram_bytes_received"] <= 0 {
		t.Errorf("metrics: %v, %v", metrics, err)
	}
	text, err := reader.MetricsText()
	if err != nil || !strings.Contains(text, "# TYPE ") {
		t.Errorf("metrics: %v\n%s", err, text)
	}
}

func TestManyGoroutines(t *testing.T) {
	node := open(t, nil)
	const goroutines, sets = 8, 2000
	var done sync.WaitGroup
	for g := range goroutines {
		done.Add(1)
		go func() {
			defer done.Done()
			key := fmt.Sprintf("key:%d", g)
			for i := range sets {
				if _, err := node.Set(key, cg.Int(i)); err != nil {
					t.Error(err)
					return
				}
				if entry, found, err := node.GetOwn(key); err != nil || !found || entry.Value != cg.Int(i) {
					t.Errorf("%s: %+v, %v, %v after setting %d", key, entry, found, err, i)
					return
				}
			}
		}()
	}
	done.Wait()
	entries, err := node.Entries("key:")
	must(t, err)
	if len(entries) != goroutines {
		t.Errorf("%d entries", len(entries))
	}
}
