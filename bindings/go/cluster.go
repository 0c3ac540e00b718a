//go:build cgo

package clustergossip

import (
	"encoding/json"
	"runtime"
)

// Ban is a ban that stands. Bans of one member by several stand side by side.
type Ban struct {
	// Member is the id of the banned member.
	Member string `json:"id"`
	// By is the id of the member that has banned it.
	By string `json:"by"`
}

// Ban bans a member, in all of its lives, until any member lifts it. Every member heeds it as soon as it hears of it: the banned member's
// entries are hidden ([Departed] shows them), and it cannot set any (ErrBanned). A ban outlives the member that has set it. It keeps out
// faulty members, not hostile ones. Nothing happens if this node has banned the member already.
//
// ErrInvalidArgument: it is no member id, or this node's own. ErrLeft, ErrLimit, ErrFailed.
func (n *Node) Ban(member string) error {
	defer runtime.KeepAlive(n)
	return n.id.ban(member)
}

// Unban lifts every ban of a member, whoever has set it. Nothing happens if it is not banned.
func (n *Node) Unban(member string) error {
	defer runtime.KeepAlive(n)
	return n.id.unban(member)
}

// Bans gives the bans that stand, as this node knows them, ordered by member and banner.
func (n *Node) Bans() ([]Ban, error) {
	defer runtime.KeepAlive(n)
	text, err := n.id.bans()
	if err != nil {
		return nil, err
	}
	var bans []Ban
	err = json.Unmarshal(text, &bans)
	return bans, err
}

// SetStatistic sets one of this host's statistics, which all members read with [Node.Heartbeats]: at most 1,024 names, of 1 to 255 bytes.
// They are published when they change, at most once in the setting heartbeat_interval.
//
// ErrInvalidArgument, ErrLimit.
func (n *Node) SetStatistic(name string, value int64) error {
	defer runtime.KeepAlive(n)
	return n.id.setStatistic(name, value)
}

// DeleteStatistic takes one of this host's statistics out. Nothing happens if there is none of that name.
func (n *Node) DeleteStatistic(name string) error {
	defer runtime.KeepAlive(n)
	return n.id.deleteStatistic(name)
}

// Heartbeats gives the statistics of all members that have published any: member id to name to number. They are what Proto.Actor calls
// MemberHeartbeat, under the key "cluster:heartbeat". What is none is left out: one member's mistake must not spoil the others' statistics.
func (n *Node) Heartbeats(options ...ReadOption) (map[string]map[string]int64, error) {
	entries, err := n.Get(heartbeatKey, options...)
	if err != nil {
		return nil, err
	}
	found := make(map[string]map[string]int64, len(entries))
	for member, entry := range entries {
		if entry.TypeURL != heartbeatTypeURL {
			continue
		}
		if statistics, good := parseHeartbeat(entry.Raw); good {
			found[member] = statistics
		}
	}
	return found, nil
}

// Topology is who is here, told when it has changed and has stayed the same for a second.
type Topology struct {
	// Members is how many there are, this node included.
	Members int
	// Hash is 16 hex digits, which are the same at every member that sees the same members.
	Hash string
}

// Topology gives who is here in a change of kind KindTopology, else nil.
func (c *Change) Topology() *Topology {
	if c.Kind != KindTopology {
		return nil
	}
	return &Topology{Members: int(c.Code), Hash: c.Text}
}
