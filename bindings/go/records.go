//go:build cgo

package clustergossip

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
)

// Entry is an entry as it was when it was read.
type Entry struct {
	// Member is the id of the member that owns it.
	Member string
	Key    string
	// Value is nil where there is none, because the entry was deleted.
	Value Value
	// TypeURL is empty for Bytes.
	TypeURL string
	// Raw is the value as it travels: of a Text or a number its protobuf encoding. It shares its memory with Value.
	Raw []byte
	// Seq is the owner's sequence number, counting from 1 in each life of it.
	Seq        uint64
	Generation uint64
	// Age is how long ago this node received the entry (or set it, if it is its own), in whole milliseconds.
	Age          time.Duration
	MemberStatus MemberStatus
}

// Member is a member of the cluster as this node saw it when it was read.
type Member struct {
	ID         string
	Generation uint64
	// Address is where it is reached: "10.0.0.7:4711", "[::1]:4711".
	Address string
	Status  MemberStatus
	// IsSelf is true for the node's own record.
	IsSelf bool
	// StatusAge is for how long it has had its status at this node.
	StatusAge time.Duration
	// RTT is the smoothed round-trip time, negative if it was not measured.
	RTT  time.Duration
	Tags map[string]string
}

// Change is one change that a subscription was told of. Which fields are filled follows from Kind.
type Change struct {
	Kind Kind
	// Entry is what the change is about. Of changes about members only Member, MemberStatus, Generation and Age (since the status
	// changed) are filled; of log lines Key is the part of the library that speaks.
	Entry
	// Conflated is how many changes this one stands for, itself included: who reads slowly gets the last of each key, and the count.
	Conflated uint64
	// Code is a Status in warnings, the number of a NodeState in changes of state, the library's level in log lines, the number of members
	// in changes of topology.
	Code int32
	// Text is the words of a log line, a warning, a change of state, a refused entry.
	Text string
	// Info is the member's record in changes about members, else nil.
	Info *Member
}

// State gives the node's new state in a change of kind KindNodeState, else 0.
func (c *Change) State() NodeState {
	if c.Kind != KindNodeState {
		return 0
	}
	return NodeState(c.Code)
}

// Where the fields of a packed record are: docs/events.md of the project.
const (
	atHead       = 4
	atKind       = 8
	atStatus     = 12
	atConflated  = 40
	atSeq        = 48
	atGeneration = 56
	atAge        = 64
	atNumber     = 72
	atCode       = 80
	atValueKind  = 84
	atMemberLen  = 88
	atKeyLen     = 92
	atTypeURLLen = 96
	atValueLen   = 100
	atTextLen    = 104
	atPlainOff   = 108
	// The head of ABI version 1; later ones are longer.
	headMin = 112
)

var errRecord = errors.New("clustergossip: a packed record of the library is malformed")

// record is one record of a packed list, in the library's memory: what leaves it is copied.
type record []byte

func (r record) u32(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
func (r record) u64(at int) uint64 { return binary.LittleEndian.Uint64(r[at:]) }
func (r record) len(at int) int    { return int(r.u32(at)) }

// parts are the texts behind the head.
type parts struct {
	member, key, typeURL, value, text []byte
}

// next cuts the first record off a packed list, and its texts.
func next(list []byte) (r record, p parts, rest []byte, err error) {
	if len(list) < headMin {
		return nil, parts{}, nil, errRecord
	}
	size, head := record(list).len(0), record(list).len(atHead)
	if head < headMin || size < head || size > len(list) {
		return nil, parts{}, nil, errRecord
	}
	r, rest = record(list[:size]), list[size:]
	// Lengths below 2^32 each: their sum does not overflow.
	keyAt := uint64(head) + uint64(r.u32(atMemberLen))
	typeURLAt := keyAt + uint64(r.u32(atKeyLen))
	valueAt := typeURLAt + uint64(r.u32(atTypeURLLen))
	textAt := valueAt + uint64(r.u32(atValueLen))
	end := textAt + uint64(r.u32(atTextLen))
	if end > uint64(size) {
		return nil, parts{}, nil, errRecord
	}
	return r, parts{r[head:keyAt], r[keyAt:typeURLAt], r[typeURLAt:valueAt], r[valueAt:textAt], r[textAt:end]}, rest, nil
}

// texts are the texts of an entry that are perhaps known already, and need no copy then: mostly they do not.
type texts struct {
	member, key, typeURL string
}

// entry fills an entry from a record.
func (r record) entry(p *parts, known texts, out *Entry) error {
	out.Member = same(p.member, known.member)
	out.Key = same(p.key, known.key)
	out.TypeURL = same(p.typeURL, known.typeURL)
	out.Seq = r.u64(atSeq)
	out.Generation = r.u64(atGeneration)
	out.Age = milliseconds(r.u64(atAge))
	out.MemberStatus = MemberStatus(r.u32(atStatus))
	kind := r.u32(atValueKind)
	if kind == valueNone {
		return nil
	}
	out.Raw = append(make([]byte, 0, len(p.value)), p.value...)
	number := r.u64(atNumber)
	switch kind {
	case valueBytes:
		out.Value = Bytes(out.Raw)
	case valueText:
		start := uint64(r.u32(atPlainOff))
		if size := uint64(len(p.value)); start > size || number > size-start {
			return errRecord
		}
		out.Value = Text(p.value[start : start+number])
	case valueBool:
		out.Value = Bool(number != 0)
	case valueInt:
		out.Value = Int(number)
	case valueDouble:
		out.Value = Float(math.Float64frombits(number))
	default:
		out.Value = Message{TypeURL: out.TypeURL, Bytes: out.Raw}
	}
	return nil
}

func (r record) member(p *parts, id string) Member {
	tags := map[string]string{}
	for line := range strings.SplitSeq(string(p.value), "\n") {
		if name, value, found := strings.Cut(line, "="); found {
			tags[name] = value
		}
	}
	rtt := time.Duration(-1)
	if microseconds := int64(r.u64(atNumber)); microseconds >= 0 {
		rtt = time.Duration(microseconds) * time.Microsecond
	}
	return Member{
		ID:         id,
		Generation: r.u64(atGeneration),
		Address:    string(p.text),
		Status:     MemberStatus(r.u32(atStatus)),
		IsSelf:     r.u32(atCode) == 1,
		StatusAge:  milliseconds(r.u64(atAge)),
		RTT:        rtt,
		Tags:       tags,
	}
}

// same gives a text, without a copy where it is the one that is known.
func same(text []byte, known string) string {
	if string(text) == known {
		return known
	}
	return string(text)
}

func milliseconds(n uint64) time.Duration {
	return time.Duration(n) * time.Millisecond
}

func floatBits(f Float) uint64 {
	return math.Float64bits(float64(f))
}

// readEntry reads a list of at most one entry.
func readEntry(list []byte, known texts) (entry Entry, found bool, err error) {
	if len(list) == 0 {
		return Entry{}, false, nil
	}
	r, p, _, err := next(list)
	if err == nil {
		err = r.entry(&p, known, &entry)
	}
	if err != nil {
		return Entry{}, false, err
	}
	return entry, true, nil
}

func readEntries(list []byte, known texts) ([]Entry, error) {
	entries := make([]Entry, 0, count(list))
	for len(list) > 0 {
		r, p, rest, err := next(list)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{})
		entry := &entries[len(entries)-1]
		if err := r.entry(&p, known, entry); err != nil {
			return nil, err
		}
		known = texts{entry.Member, entry.Key, entry.TypeURL}
		list = rest
	}
	return entries, nil
}

// count gives the number of records; of a malformed list, some number.
func count(list []byte) int {
	n := 0
	for len(list) >= headMin {
		size := record(list).len(0)
		if size < headMin || size > len(list) {
			break
		}
		list = list[size:]
		n++
	}
	return n
}

func readMembers(list []byte) ([]Member, error) {
	var members []Member
	for len(list) > 0 {
		r, p, rest, err := next(list)
		if err != nil {
			return nil, err
		}
		members = append(members, r.member(&p, string(p.member)))
		list = rest
	}
	return members, nil
}

// changeReader reads batches of changes. Member ids and keys come again and again, so it keeps those it has seen, up to a limit.
type changeReader struct {
	known map[string]string
}

// Beyond it the texts are forgotten: what is kept must not grow with the number of keys.
const knownTexts = 1024

func (c *changeReader) intern(text []byte) string {
	if found, there := c.known[string(text)]; there {
		return found
	}
	if c.known == nil || len(c.known) >= knownTexts {
		c.known = make(map[string]string)
	}
	s := string(text)
	c.known[s] = s
	return s
}

func (c *changeReader) read(list []byte) ([]Change, error) {
	changes := make([]Change, 0, count(list))
	for len(list) > 0 {
		r, p, rest, err := next(list)
		if err != nil {
			return nil, err
		}
		changes = append(changes, Change{
			Kind:      Kind(r.u32(atKind)),
			Conflated: r.u64(atConflated),
			Code:      int32(r.u32(atCode)),
		})
		change := &changes[len(changes)-1]
		known := texts{c.intern(p.member), c.intern(p.key), c.intern(p.typeURL)}
		if err := r.entry(&p, known, &change.Entry); err != nil {
			return nil, err
		}
		if change.Kind&KindMembers != 0 {
			info := r.member(&p, change.Member)
			change.Info = &info
			// In the record that is whether the member is the node itself, which Info tells.
			change.Code = 0
		} else if len(p.text) > 0 {
			change.Text = string(p.text)
		}
		list = rest
	}
	return changes, nil
}
