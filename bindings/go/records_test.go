package clustergossip

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// packedRecord is a record as docs/events.md describes it; extra lengthens its head as a later version would.
type packedRecord struct {
	kind, status                            uint32
	conflated, seq, generation, age, number uint64
	code, valueKind                         uint32
	member, key, typeURL, value, text       string
	plainOff                                uint32
	extra                                   int
}

func (r packedRecord) pack() []byte {
	head := headMin + r.extra
	texts := r.member + r.key + r.typeURL + r.value + r.text
	size := (head + len(texts) + 7) / 8 * 8
	out := make([]byte, size)
	put32 := func(at int, v int) { binary.LittleEndian.PutUint32(out[at:], uint32(v)) }
	put64 := func(at int, v uint64) { binary.LittleEndian.PutUint64(out[at:], v) }
	put32(0, size)
	put32(4, head)
	put32(8, int(r.kind))
	put32(12, int(r.status))
	put64(16, 77) // tag
	put64(24, 88) // node
	put64(32, 99) // sub
	put64(40, r.conflated)
	put64(48, r.seq)
	put64(56, r.generation)
	put64(64, r.age)
	put64(72, r.number)
	put32(80, int(r.code))
	put32(84, int(r.valueKind))
	put32(88, len(r.member))
	put32(92, len(r.key))
	put32(96, len(r.typeURL))
	put32(100, len(r.value))
	put32(104, len(r.text))
	put32(108, int(r.plainOff))
	for i := headMin; i < head; i++ {
		out[i] = 0xee
	}
	copy(out[head:], texts)
	return out
}

var goldenChanges = []packedRecord{
	{kind: 0x1, status: 1, conflated: 3, seq: 5, generation: 6, age: 1500, number: 7, valueKind: 2, member: "münchen", key: "k\x00ey",
		typeURL: "type.googleapis.com/google.protobuf.StringValue", value: "\x0a\x07grü\x00en", plainOff: 2, extra: 8},
	{kind: 0x1, status: 2, conflated: 1, seq: 6, valueKind: 1, member: "münchen", key: "k\x00ey"},
	{kind: 0x1, seq: 7, valueKind: 3, number: 1, member: "m", key: "b", typeURL: "B", value: "\x08\x01", extra: 16},
	{kind: 0x1, seq: 8, valueKind: 4, number: 1 << 63, member: "m", key: "i", typeURL: "I", value: "x"},
	{kind: 0x1, seq: 9, valueKind: 5, number: math.Float64bits(-0.1), member: "m", key: "d", typeURL: "D", value: "y"},
	{kind: 0x1, seq: 10, valueKind: 6, member: "m", key: "o", typeURL: "shop.Order", value: "\x00\x01"},
	{kind: 0x2, seq: 11, member: "m", key: "o"},
	{kind: 0x10, status: 1, generation: 4, age: 20, number: 1500, code: 1, member: "m", value: "role=web\nzone=a=b", text: "10.0.0.7:4711"},
	{kind: 0x80, status: 3, number: math.MaxUint64, member: "m", text: "[::1]:1"},
	{kind: 0x10000, code: 2, text: "größer"},
	{kind: 0x200000, code: 3, key: "engine", text: "a line"},
	{kind: 0x4000_0000, member: "of a later version"},
}

func TestReadChanges(t *testing.T) {
	var list []byte
	for _, r := range goldenChanges {
		list = append(list, r.pack()...)
	}
	var reader changeReader
	found, err := reader.read(list)
	if err != nil {
		t.Fatal(err)
	}
	text := "\x0a\x07grü\x00en"
	expected := []Change{
		{Kind: KindEntryChanged, Conflated: 3, Entry: Entry{Member: "münchen", Key: "k\x00ey", Value: Text("grü\x00en"),
			TypeURL: "type.googleapis.com/google.protobuf.StringValue", Raw: []byte(text), Seq: 5, Generation: 6,
			Age: 1500 * time.Millisecond, MemberStatus: MemberAlive}},
		{Kind: KindEntryChanged, Conflated: 1, Entry: Entry{Member: "münchen", Key: "k\x00ey", Value: Bytes{}, Raw: []byte{}, Seq: 6, MemberStatus: MemberSuspect}},
		{Kind: KindEntryChanged, Entry: Entry{Member: "m", Key: "b", Value: Bool(true), TypeURL: "B", Raw: []byte{8, 1}, Seq: 7}},
		{Kind: KindEntryChanged, Entry: Entry{Member: "m", Key: "i", Value: Int(math.MinInt64), TypeURL: "I", Raw: []byte("x"), Seq: 8}},
		{Kind: KindEntryChanged, Entry: Entry{Member: "m", Key: "d", Value: Float(-0.1), TypeURL: "D", Raw: []byte("y"), Seq: 9}},
		{Kind: KindEntryChanged, Entry: Entry{Member: "m", Key: "o", Value: Message{"shop.Order", []byte{0, 1}}, TypeURL: "shop.Order", Raw: []byte{0, 1}, Seq: 10}},
		{Kind: KindEntryDeleted, Entry: Entry{Member: "m", Key: "o", Seq: 11}},
		{Kind: KindMemberJoined, Entry: Entry{Member: "m", Generation: 4, Age: 20 * time.Millisecond, MemberStatus: MemberAlive},
			Info: &Member{ID: "m", Generation: 4, Address: "10.0.0.7:4711", Status: MemberAlive, IsSelf: true, StatusAge: 20 * time.Millisecond,
				RTT: 1500 * time.Microsecond, Tags: map[string]string{"role": "web", "zone": "a=b"}}},
		{Kind: KindMemberDead, Entry: Entry{Member: "m", MemberStatus: MemberDead},
			Info: &Member{ID: "m", Address: "[::1]:1", Status: MemberDead, RTT: -1, Tags: map[string]string{}}},
		{Kind: KindNodeState, Code: 2, Text: "größer"},
		{Kind: KindLog, Code: 3, Text: "a line", Entry: Entry{Key: "engine"}},
		{Kind: 0x4000_0000, Entry: Entry{Member: "of a later version"}},
	}
	if len(found) != len(expected) {
		t.Fatalf("%d changes, not %d", len(found), len(expected))
	}
	for i := range expected {
		if !reflect.DeepEqual(found[i], expected[i]) {
			t.Errorf("change %d:\n%+v, not\n%+v", i, found[i], expected[i])
		}
	}
	if state := found[9].State(); state != StateJoined {
		t.Errorf("state: %v", state)
	}
}

func TestReadEntriesAndMembers(t *testing.T) {
	var list []byte
	for _, r := range goldenChanges[:6] {
		r.kind, r.conflated = 0, 0
		list = append(list, r.pack()...)
	}
	entries, err := readEntries(list, texts{})
	if err != nil || len(entries) != 6 || entries[0].Value != Text("grü\x00en") || entries[1].Key != "k\x00ey" || entries[2].Member != "m" {
		t.Errorf("%+v, %v", entries, err)
	}
	members, err := readMembers(goldenChanges[7].pack())
	if err != nil || len(members) != 1 || members[0].Tags["zone"] != "a=b" {
		t.Errorf("%+v, %v", members, err)
	}
	if entries, err := readEntries(nil, texts{}); err != nil || len(entries) != 0 {
		t.Errorf("an empty list: %v, %v", entries, err)
	}
}

// What is read is copied: the library's memory is freed afterwards.
func TestNothingReadSharesTheLibrarysMemory(t *testing.T) {
	list := append(goldenChanges[0].pack(), goldenChanges[7].pack()...)
	var reader changeReader
	found, err := reader.read(list)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i] = 'X'
	}
	if found[0].Member != "münchen" || found[0].Value != Text("grü\x00en") || strings.Contains(string(found[0].Raw), "X") || found[1].Info.Tags["role"] != "web" {
		t.Errorf("%+v", found)
	}
}

func TestMalformedRecords(t *testing.T) {
	good := goldenChanges[0].pack()
	var reader changeReader
	for cut := 1; cut < len(good); cut++ {
		if _, err := reader.read(good[:cut]); err == nil {
			t.Errorf("cut to %d bytes it is read", cut)
		}
	}
	for at, value := range map[int]uint32{0: 0, 4: 8, 88: 1 << 31, 100: 4000, 104: math.MaxUint32, 108: 10} {
		bad := append([]byte{}, good...)
		binary.LittleEndian.PutUint32(bad[at:], value)
		if changes, err := reader.read(bad); err == nil {
			t.Errorf("with %d at %d it is read: %+v", value, at, changes)
		}
	}
}

func TestKnownTextsStayBounded(t *testing.T) {
	var reader changeReader
	for i := range 10 * knownTexts {
		r := packedRecord{kind: 1, valueKind: 1, member: "m", key: strings.Repeat("k", 1+i%200) + string(rune('a'+i%26)) + string(rune(i+256))}
		changes, err := reader.read(r.pack())
		if err != nil || changes[0].Key != r.key {
			t.Fatalf("%+v, %v", changes, err)
		}
		if len(reader.known) > knownTexts {
			t.Fatalf("%d texts are kept", len(reader.known))
		}
	}
}

func TestNames(t *testing.T) {
	for _, each := range []struct {
		found    interface{ String() string }
		expected string
	}{
		{KindEntryChanged, "EntryChanged"},
		{KindEntries, "EntryChanged|EntryDeleted|EntryRefused"},
		{Kind(0x4000_0001), "EntryChanged|Kind(0x40000000)"},
		{Kind(0), "Kind(0x0)"},
		{MemberSuspect, "suspect"},
		{MemberStatus(99), "MemberStatus(99)"},
		{StateAlone, "alone"},
		{NodeState(99), "NodeState(99)"},
	} {
		if each.found.String() != each.expected {
			t.Errorf("%s, not %s", each.found, each.expected)
		}
	}
	// KindAll has bits for kinds to come.
	if named := KindEntries | KindMembers | KindNode | KindWarning | KindLog | KindInitialDone | kindClosed; strings.Contains(named.String(), "(") {
		t.Errorf("not all of %s have names", named)
	}
}
