//go:build cgo

package clustergossip

import (
	"encoding/json"
	"runtime"
	"sync"
	"time"
)

// Node is one member of a cluster: it publishes its own entries, reads everybody's, and is told of changes.
//
// A call on a closed node returns ErrClosed. Nodes are to be closed: Go runs nothing when a program ends, so a node that is open then has
// crashed, to the others. A node that is collected without having been closed says that it leaves, and is closed; one whose changes are being
// read is not collected.
type Node struct {
	id      nodeID
	name    string
	once    sync.Once
	cleanup runtime.Cleanup
}

// Open opens a node. It binds the sockets and returns; it waits for nobody. [Node.WaitSynced] and [Node.WaitForMembers] do.
//
// ErrUnknownSetting and ErrBadSetting say what is wrong with the settings; ErrBind, ErrAdvertise, ErrNoResources.
func Open(config Config) (*Node, error) {
	if libraryError != nil {
		return nil, libraryError
	}
	settings, err := config.settings()
	if err != nil {
		return nil, err
	}
	id, err := openNode(settings)
	if err != nil {
		return nil, err
	}
	return adopt(id)
}

// OpenText opens a node with settings given as a text: a line "name=value" each; blank lines and lines that begin with # are
// passed over. Errors begin with the number of the line.
func OpenText(settings string) (*Node, error) {
	if libraryError != nil {
		return nil, libraryError
	}
	id, err := openNodeText(settings)
	if err != nil {
		return nil, err
	}
	return adopt(id)
}

func adopt(id uint64) (*Node, error) {
	n := &Node{id: nodeID(id)}
	self, err := n.id.self()
	if err != nil {
		_ = n.id.close()
		return nil, err
	}
	n.name = self.ID
	n.cleanup = runtime.AddCleanup(n, nodeID.abandon, n.id)
	return n, nil
}

// ---- this node

// ID gives the node's own member id.
func (n *Node) ID() string {
	return n.name
}

// Self gives the node's own member record: id, address, tags.
func (n *Node) Self() (Member, error) {
	defer runtime.KeepAlive(n)
	return n.id.self()
}

// Address gives the address that the node tells to others: what they name as a seed. It is empty once the node is closed.
func (n *Node) Address() string {
	self, err := n.Self()
	if err != nil {
		return ""
	}
	return self.Address
}

// State gives how the node stands to its cluster, as for a readiness probe.
func (n *Node) State() (NodeState, error) {
	defer runtime.KeepAlive(n)
	return n.id.state()
}

// Setting gives the value in force of a setting; "(secret)" for a secret.
func (n *Node) Setting(name string) (string, error) {
	defer runtime.KeepAlive(n)
	value, err := n.id.setting(name)
	return string(value), err
}

// Reconfigure changes settings of the running node, one after the other in the order of their names. ErrNotLive if one cannot
// change; those before it have changed then.
func (n *Node) Reconfigure(config Config) error {
	defer runtime.KeepAlive(n)
	settings, err := config.settings()
	if err != nil {
		return err
	}
	for _, each := range settings {
		if err := n.id.reconfigure(each.name, each.value); err != nil {
			return err
		}
	}
	return nil
}

// Describe gives a page of text for people: addresses, seeds and how they answered, members, what was dropped and why. Its form may
// change with any version.
func (n *Node) Describe() (string, error) {
	defer runtime.KeepAlive(n)
	page, err := n.id.describe()
	return string(page), err
}

// Snapshot gives the whole state as a protobuf message cluster.gossip.GossipState, as Proto.Actor encodes it.
func (n *Node) Snapshot() ([]byte, error) {
	defer runtime.KeepAlive(n)
	return n.id.snapshot(formatProtobuf)
}

// SnapshotJSON gives the whole state as JSON.
func (n *Node) SnapshotJSON() (json.RawMessage, error) {
	defer runtime.KeepAlive(n)
	return n.id.snapshot(formatJSON)
}

// Offsets gives the committed offsets, target to owner: up to which sequence number this node has proof that each member holds
// each member's state.
func (n *Node) Offsets() (map[string]map[string]uint64, error) {
	defer runtime.KeepAlive(n)
	text, err := n.id.offsets()
	if err != nil {
		return nil, err
	}
	var offsets map[string]map[string]uint64
	err = json.Unmarshal(text, &offsets)
	return offsets, err
}

// Metrics gives counters and gauges by name.
func (n *Node) Metrics() (map[string]float64, error) {
	defer runtime.KeepAlive(n)
	text, err := n.id.metrics(formatJSON)
	if err != nil {
		return nil, err
	}
	var metrics map[string]float64
	err = json.Unmarshal(text, &metrics)
	return metrics, err
}

// MetricsText gives counters and gauges in the text format of Prometheus.
func (n *Node) MetricsText() (string, error) {
	defer runtime.KeepAlive(n)
	text, err := n.id.metrics(formatPrometheus)
	return string(text), err
}

// ---- state

// SetOption is a choice for [Node.Set]: [TTL], [IfChanged].
type SetOption struct {
	ttl       time.Duration
	limited   bool
	ifChanged bool
}

// TTL has readers stop seeing the entry after that time, which is counted in milliseconds, rounded up.
func TTL(ttl time.Duration) SetOption {
	return SetOption{ttl: ttl, limited: true}
}

// IfChanged has nothing happen if type and value are what is there; the sequence number is the old one then.
func IfChanged() SetOption {
	return SetOption{ifChanged: true}
}

// Set publishes an entry of this node's own and gives the sequence number that it has. Get of this node sees it at once, the others
// soon; it never waits for the network. The value is copied.
//
// ErrInvalidKey, ErrReservedKey, ErrValueTooLarge, ErrLimit, ErrLeft, ErrIDTaken, ErrFailed; the entry is then as before.
func (n *Node) Set(key string, value Value, options ...SetOption) (uint64, error) {
	defer runtime.KeepAlive(n)
	var ttlMS int64
	var flags uint32
	for _, option := range options {
		if option.limited {
			if option.ttl <= 0 {
				return 0, newError(ErrInvalidArgument, "a time to live is positive, not "+option.ttl.String())
			}
			// Rounded up: a time to live of 0 would mean none at all.
			ttlMS = int64((option.ttl-1)/time.Millisecond) + 1
		}
		if option.ifChanged {
			flags |= flagIfChanged
		}
	}
	return n.id.set(key, value, ttlMS, flags)
}

// Delete deletes this node's own entry. ErrNotFound if there is none.
func (n *Node) Delete(key string) error {
	defer runtime.KeepAlive(n)
	return n.id.delete(key)
}

// ReadOption is a choice for reading: [Departed], [OfMember].
type ReadOption struct {
	departed bool
	member   *string
}

// Departed gives also the members whose state is kept although they are dead, banned or have left.
func Departed() ReadOption {
	return ReadOption{departed: true}
}

// OfMember narrows [Node.Entries] to one member's; elsewhere it means nothing.
func OfMember(id string) ReadOption {
	return ReadOption{member: &id}
}

func readFlags(options []ReadOption) (flags uint32) {
	for _, option := range options {
		if option.departed {
			flags |= flagDeparted
		}
	}
	return flags
}

// Get gives the entries of all members under that key, by member id: of those that are alive or suspect, with [Departed] also of others.
func (n *Node) Get(key string, options ...ReadOption) (map[string]Entry, error) {
	defer runtime.KeepAlive(n)
	found, err := n.id.get(nil, key, readFlags(options))
	if err != nil {
		return nil, err
	}
	entries := make(map[string]Entry, len(found))
	for i := range found {
		entries[found[i].Member] = found[i]
	}
	return entries, nil
}

// GetFrom gives one member's entry under that key, and whether there is one.
func (n *Node) GetFrom(member, key string, options ...ReadOption) (Entry, bool, error) {
	defer runtime.KeepAlive(n)
	return n.id.getFrom(member, key, readFlags(options))
}

// GetOwn gives this node's own entry under that key, and whether there is one.
func (n *Node) GetOwn(key string) (Entry, bool, error) {
	defer runtime.KeepAlive(n)
	return n.id.getOwn(n.name, key)
}

// Entries gives all entries whose key begins so, ordered by member and key; the library's own, under "cluster:" keys, only for a
// prefix that begins so.
func (n *Node) Entries(prefix string, options ...ReadOption) ([]Entry, error) {
	defer runtime.KeepAlive(n)
	var member *string
	for _, option := range options {
		if option.member != nil {
			member = option.member
		}
	}
	return n.id.get(member, prefix, flagPrefix|readFlags(options))
}

// Members gives the members that are alive or suspect, this node included, ordered by id; with [Departed] also the others.
func (n *Node) Members(options ...ReadOption) ([]Member, error) {
	defer runtime.KeepAlive(n)
	return n.id.members(readFlags(options))
}
