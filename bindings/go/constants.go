//go:build cgo

package clustergossip

// #include <cluster_gossip.h>
import "C"

import (
	"fmt"
	"strings"
)

// ABIVersion is the version of the C interface that this package was compiled for.
const ABIVersion = C.GOSSIP_ABI_VERSION

// Kind is a kind of [Change], or in a [Filter] a mask of them.
type Kind uint32

// The kinds of changes. A newer library may have others.
const (
	// An entry was set, for the first time or again.
	KindEntryChanged Kind = C.GOSSIP_EVENT_ENTRY_CHANGED
	// An entry was deleted, or its time to live is over.
	KindEntryDeleted Kind = C.GOSSIP_EVENT_ENTRY_DELETED
	// A member's entry is beyond this node's limits and not kept here; Text says why.
	KindEntryRefused Kind = C.GOSSIP_EVENT_ENTRY_REFUSED
	// A member is there; comes before its first entry.
	KindMemberJoined Kind = C.GOSSIP_EVENT_MEMBER_JOINED
	// A member may be gone.
	KindMemberSuspected Kind = C.GOSSIP_EVENT_MEMBER_SUSPECTED
	// A member is alive again, after suspicion or death.
	KindMemberAlive Kind = C.GOSSIP_EVENT_MEMBER_ALIVE
	// A member was declared gone without having said so.
	KindMemberDead Kind = C.GOSSIP_EVENT_MEMBER_DEAD
	// A member has left.
	KindMemberLeft Kind = C.GOSSIP_EVENT_MEMBER_LEFT
	// A member was started anew: same id, new generation.
	KindMemberRestarted Kind = C.GOSSIP_EVENT_MEMBER_RESTARTED
	// A member's tags or address have changed.
	KindMemberUpdated Kind = C.GOSSIP_EVENT_MEMBER_UPDATED
	// A member was banned.
	KindMemberBanned Kind = C.GOSSIP_EVENT_MEMBER_BANNED
	// A member is no longer banned.
	KindMemberUnbanned Kind = C.GOSSIP_EVENT_MEMBER_UNBANNED
	// A member's state is gone from this node; comes after its last entry.
	KindMemberRemoved Kind = C.GOSSIP_EVENT_MEMBER_REMOVED
	// The node's own state; State() gives it, Text says why.
	KindNodeState Kind = C.GOSSIP_EVENT_NODE_STATE
	// This node has once been equal to a peer, or is alone without seeds: its view can be trusted.
	KindSynced Kind = C.GOSSIP_EVENT_SYNCED
	// Reserved.
	KindConsensus Kind = C.GOSSIP_EVENT_CONSENSUS
	// Who is here has changed, and has come to rest; Topology() gives it.
	KindTopology Kind = C.GOSSIP_EVENT_TOPOLOGY
	// Something is wrong that nobody would notice: Text in words, Code a [Status]. Rate-limited.
	KindWarning Kind = C.GOSSIP_EVENT_WARNING
	// A log line: Text, Key the part of the library that speaks, Code its level. [Node.LogTo] makes slog records of them.
	KindLog Kind = C.GOSSIP_EVENT_LOG
	// All that existed has come. Comes unasked where Filter.Initial was given.
	KindInitialDone Kind = C.GOSSIP_EVENT_INITIAL_DONE

	// The end of the subscription, which is shown as the end of the channel and as ErrClosed.
	kindClosed Kind = C.GOSSIP_EVENT_CLOSED

	// Mask: all changes of entries.
	KindEntries Kind = C.GOSSIP_EVENTS_ENTRIES
	// Mask: all changes of members.
	KindMembers Kind = C.GOSSIP_EVENTS_MEMBERS
	// Mask: all changes of the node itself.
	KindNode Kind = C.GOSSIP_EVENTS_NODE
	// Mask: entries, members and node; not warnings and log lines.
	KindAll Kind = C.GOSSIP_EVENTS_ALL
)

var kindNames = []struct {
	kind Kind
	name string
}{
	{KindEntryChanged, "EntryChanged"},
	{KindEntryDeleted, "EntryDeleted"},
	{KindEntryRefused, "EntryRefused"},
	{KindMemberJoined, "MemberJoined"},
	{KindMemberSuspected, "MemberSuspected"},
	{KindMemberAlive, "MemberAlive"},
	{KindMemberDead, "MemberDead"},
	{KindMemberLeft, "MemberLeft"},
	{KindMemberRestarted, "MemberRestarted"},
	{KindMemberUpdated, "MemberUpdated"},
	{KindMemberBanned, "MemberBanned"},
	{KindMemberUnbanned, "MemberUnbanned"},
	{KindMemberRemoved, "MemberRemoved"},
	{KindNodeState, "NodeState"},
	{KindSynced, "Synced"},
	{KindConsensus, "Consensus"},
	{KindTopology, "Topology"},
	{KindWarning, "Warning"},
	{KindLog, "Log"},
	{KindInitialDone, "InitialDone"},
	{kindClosed, "Closed"},
}

// String gives "EntryChanged"; of a mask the names with a | between them.
func (k Kind) String() string {
	var names []string
	rest := k
	for _, each := range kindNames {
		if k&each.kind != 0 {
			names = append(names, each.name)
			rest &^= each.kind
		}
	}
	if rest != 0 || k == 0 {
		names = append(names, fmt.Sprintf("Kind(%#x)", uint32(rest)))
	}
	return strings.Join(names, "|")
}

// MemberStatus is what a node holds of a member.
type MemberStatus int32

// What a member can be. A newer library may have others.
const (
	// The member answers, or nothing is known against it.
	MemberAlive MemberStatus = C.GOSSIP_MEMBER_ALIVE
	// The member may be gone; others are being asked.
	MemberSuspect MemberStatus = C.GOSSIP_MEMBER_SUSPECT
	// The member was declared gone without having said so. It may come back.
	MemberDead MemberStatus = C.GOSSIP_MEMBER_DEAD
	// The member has said that it is about to leave.
	MemberLeaving MemberStatus = C.GOSSIP_MEMBER_LEAVING
	// The member has left.
	MemberLeft MemberStatus = C.GOSSIP_MEMBER_LEFT
	// Another member has banned the member.
	MemberBanned MemberStatus = C.GOSSIP_MEMBER_BANNED
)

var memberStatusNames = map[MemberStatus]string{
	MemberAlive:   "alive",
	MemberSuspect: "suspect",
	MemberDead:    "dead",
	MemberLeaving: "leaving",
	MemberLeft:    "left",
	MemberBanned:  "banned",
}

// String gives "alive", "suspect", ...
func (s MemberStatus) String() string {
	if name, known := memberStatusNames[s]; known {
		return name
	}
	return fmt.Sprintf("MemberStatus(%d)", int32(s))
}

// NodeState is how a node stands to its cluster.
type NodeState int32

// The states of a node. A newer library may have others.
const (
	// The node was opened and has not found anybody yet.
	StateStarting NodeState = C.GOSSIP_STATE_STARTING
	// The node is in a cluster with others.
	StateJoined NodeState = C.GOSSIP_STATE_JOINED
	// There are no seeds, or none but the node itself: a cluster of one so far.
	StateAlone NodeState = C.GOSSIP_STATE_ALONE
	// The node has said that it leaves and waits for acknowledgement.
	StateLeaving NodeState = C.GOSSIP_STATE_LEAVING
	// The node has left: it can be read, and no more written to.
	StateLeft NodeState = C.GOSSIP_STATE_LEFT
	// A member has banned the node.
	StateBanned NodeState = C.GOSSIP_STATE_BANNED
	// The node's task has died or its id was taken. Close it.
	StateFailed NodeState = C.GOSSIP_STATE_FAILED
)

var nodeStateNames = map[NodeState]string{
	StateStarting: "starting",
	StateJoined:   "joined",
	StateAlone:    "alone",
	StateLeaving:  "leaving",
	StateLeft:     "left",
	StateBanned:   "banned",
	StateFailed:   "failed",
}

// String gives "starting", "joined", ...
func (s NodeState) String() string {
	if name, known := nodeStateNames[s]; known {
		return name
	}
	return fmt.Sprintf("NodeState(%d)", int32(s))
}

// How the library numbers kinds of values and levels of log lines; Go programs see types and slog levels.
const (
	valueNone   = C.GOSSIP_VALUE_NONE
	valueBytes  = C.GOSSIP_VALUE_BYTES
	valueText   = C.GOSSIP_VALUE_TEXT
	valueBool   = C.GOSSIP_VALUE_BOOL
	valueInt    = C.GOSSIP_VALUE_INT
	valueDouble = C.GOSSIP_VALUE_DOUBLE

	logError = C.GOSSIP_LOG_ERROR
	logWarn  = C.GOSSIP_LOG_WARN
	logInfo  = C.GOSSIP_LOG_INFO
	logDebug = C.GOSSIP_LOG_DEBUG
	logTrace = C.GOSSIP_LOG_TRACE
)
