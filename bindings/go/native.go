//go:build cgo

package clustergossip

// The calls into the library; what goes in and comes out is Go's.
//
// None of the functions calls back into Go or keeps what it is given, and cgo is told so of the frequent ones: then their arguments stay
// on the goroutine's stack.

// #cgo noescape shim_set
// #cgo nocallback shim_set
// #cgo noescape shim_get
// #cgo nocallback shim_get
// #cgo noescape shim_get_own
// #cgo nocallback shim_get_own
// #cgo noescape shim_take
// #cgo nocallback shim_take
// #cgo noescape gossip_entries_free
// #cgo nocallback gossip_entries_free
// #cgo noescape gossip_events_free
// #cgo nocallback gossip_events_free
// #include "shim.h"
import "C"

import (
	"strings"
	"unsafe"
)

const (
	flagDeparted  = C.GOSSIP_GET_DEPARTED
	flagPrefix    = C.GOSSIP_GET_PREFIX
	flagIfChanged = C.GOSSIP_SET_IF_CHANGED
	flagInitial   = C.GOSSIP_SUB_INITIAL
	flagNoSelf    = C.GOSSIP_SUB_NO_SELF
	flagSubPrefix = C.GOSSIP_SUB_PREFIX

	formatProtobuf   = C.GOSSIP_FORMAT_PROTOBUF
	formatJSON       = C.GOSSIP_FORMAT_JSON
	formatPrometheus = C.GOSSIP_FORMAT_PROMETHEUS
)

func chars(s string) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s)))
}

// optional gives the shims a text, or none for nil.
func optional(s *string) (*C.char, C.size_t) {
	if s == nil {
		return nil, C.SHIM_NONE
	}
	return chars(*s), C.size_t(len(*s))
}

// packed is what a list's packed form consists of; it lives as long as the list.
func packed(list C.shim_list) []byte {
	return unsafe.Slice((*byte)(list.packed), list.len)
}

// ---- library

func abiVersion() uint32 {
	return uint32(C.gossip_abi_version())
}

// Version gives the version of the native library, such as "0.1.0".
func Version() string {
	return C.GoString(C.gossip_version())
}

func statusName(status Status) string {
	return C.GoString(C.gossip_status_name(C.gossip_status(status)))
}

func statusText(status Status) string {
	return C.GoString(C.gossip_status_text(C.gossip_status(status)))
}

func statusCanRetry(status Status) bool {
	return C.gossip_status_can_retry(C.gossip_status(status)) != 0
}

// statuses gives all that the library knows.
func statuses() []Status {
	found := make([]Status, C.gossip_status_count())
	for i := range found {
		found[i] = Status(C.gossip_status_at(C.size_t(i)))
	}
	return found
}

// Settings gives the library's table of settings: all that a [Config] may name.
func Settings() []Setting {
	rows := make([]Setting, C.gossip_setting_count())
	for i := range rows {
		index := C.size_t(i)
		flags := C.gossip_setting_flags(index)
		rows[i] = Setting{
			Name:    C.GoString(C.gossip_setting_name(index)),
			Type:    C.GoString(C.gossip_setting_type(index)),
			Unit:    C.GoString(C.gossip_setting_unit(index)),
			Default: C.GoString(C.gossip_setting_default(index)),
			Bounds:  C.GoString(C.gossip_setting_bounds(index)),
			Text:    C.GoString(C.gossip_setting_text(index)),
			Live:    flags&C.GOSSIP_SETTING_LIVE != 0,
			Secret:  flags&C.GOSSIP_SETTING_SECRET != 0,
		}
	}
	return rows
}

// ---- opening and settings

// cText is a copy of a text with a NUL behind it, to be freed; texts with a zero byte inside would be cut.
func cText(what, s string) (*C.char, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, newError(ErrInvalidArgument, what+" contains a zero byte")
	}
	return C.CString(s), nil
}

// cPair is the same for the name and value of a setting.
func cPair(name, value string) (cName, cValue *C.char, free func(), err error) {
	if cName, err = cText("a setting's name", name); err != nil {
		return nil, nil, nil, err
	}
	if cValue, err = cText("setting "+name, value); err != nil {
		C.free(unsafe.Pointer(cName))
		return nil, nil, nil, err
	}
	return cName, cValue, func() {
		C.free(unsafe.Pointer(cName))
		C.free(unsafe.Pointer(cValue))
	}, nil
}

type errbuf [C.GOSSIP_ERRBUF]C.char

// check gives the error of a call that was given the buffer.
func (b *errbuf) check(status C.gossip_status) error {
	if status == C.GOSSIP_OK {
		return nil
	}
	return newError(Status(status), C.GoString(&b[0]))
}

func openNode(settings []setting) (uint64, error) {
	var buf errbuf
	var config C.gossip_config
	if err := check(Status(C.gossip_config_new(&config))); err != nil {
		return 0, err
	}
	defer C.gossip_config_free(config)
	for _, each := range settings {
		name, value, free, err := cPair(each.name, each.value)
		if err != nil {
			return 0, err
		}
		err = buf.check(C.gossip_config_set(config, name, value, &buf[0], C.GOSSIP_ERRBUF))
		free()
		if err != nil {
			return 0, err
		}
	}
	var node C.gossip_node
	err := buf.check(C.gossip_open(config, &node, &buf[0], C.GOSSIP_ERRBUF))
	return uint64(node.id), err
}

func openNodeText(settings string) (uint64, error) {
	text, err := cText("the settings", settings)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	var buf errbuf
	var node C.gossip_node
	err = buf.check(C.gossip_open_text(text, &node, &buf[0], C.GOSSIP_ERRBUF))
	return uint64(node.id), err
}

// nodeID names a node of the library. Ids are never used again: a stale one is answered with a status.
type nodeID uint64

func (n nodeID) c() C.gossip_node {
	return C.gossip_node{id: C.uint64_t(n)}
}

func (n nodeID) reconfigure(name, value string) error {
	cName, cValue, free, err := cPair(name, value)
	if err != nil {
		return err
	}
	defer free()
	var buf errbuf
	return buf.check(C.gossip_reconfigure(n.c(), cName, cValue, &buf[0], C.GOSSIP_ERRBUF))
}

func (n nodeID) setting(name string) ([]byte, error) {
	cName, err := cText("a setting's name", name)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(cName))
	var bytes *C.gossip_bytes
	status := C.gossip_setting_get(n.c(), cName, &bytes)
	return takeBytes(bytes, status)
}

// ---- texts and documents

// takeBytes copies bytes that were handed out, and frees them.
func takeBytes(bytes *C.gossip_bytes, status C.gossip_status) ([]byte, error) {
	if status != C.GOSSIP_OK {
		return nil, newError(Status(status), "")
	}
	defer C.gossip_bytes_free(bytes)
	var size C.size_t
	data := C.gossip_bytes_data(bytes, &size)
	return append([]byte{}, unsafe.Slice((*byte)(data), size)...), nil
}

func (n nodeID) describe() ([]byte, error) {
	var bytes *C.gossip_bytes
	status := C.gossip_describe(n.c(), &bytes)
	return takeBytes(bytes, status)
}

func (n nodeID) snapshot(format int32) ([]byte, error) {
	var bytes *C.gossip_bytes
	status := C.gossip_snapshot(n.c(), C.int32_t(format), &bytes)
	return takeBytes(bytes, status)
}

func (n nodeID) offsets() ([]byte, error) {
	var bytes *C.gossip_bytes
	status := C.gossip_offsets(n.c(), &bytes)
	return takeBytes(bytes, status)
}

func (n nodeID) metrics(format int32) ([]byte, error) {
	var bytes *C.gossip_bytes
	status := C.gossip_metrics(n.c(), C.int32_t(format), &bytes)
	return takeBytes(bytes, status)
}

// ---- bans, statistics

// named makes a call that takes a text and the buffer for the library's words.
func (n nodeID) named(what, text string, call func(text *C.char, buf *C.char) C.gossip_status) error {
	cText, err := cText(what, text)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(cText))
	var buf errbuf
	return buf.check(call(cText, &buf[0]))
}

func (n nodeID) ban(member string) error {
	return n.named("the member's id", member, func(id, buf *C.char) C.gossip_status {
		return C.gossip_ban(n.c(), id, buf, C.GOSSIP_ERRBUF)
	})
}

func (n nodeID) unban(member string) error {
	return n.named("the member's id", member, func(id, buf *C.char) C.gossip_status {
		return C.gossip_unban(n.c(), id, buf, C.GOSSIP_ERRBUF)
	})
}

func (n nodeID) bans() ([]byte, error) {
	var bytes *C.gossip_bytes
	status := C.gossip_bans(n.c(), &bytes)
	return takeBytes(bytes, status)
}

func (n nodeID) setStatistic(name string, value int64) error {
	return n.named("the statistic's name", name, func(name, buf *C.char) C.gossip_status {
		return C.gossip_statistic_set(n.c(), name, C.int64_t(value), buf, C.GOSSIP_ERRBUF)
	})
}

func (n nodeID) deleteStatistic(name string) error {
	return n.named("the statistic's name", name, func(name, buf *C.char) C.gossip_status {
		return C.gossip_statistic_delete(n.c(), name, buf, C.GOSSIP_ERRBUF)
	})
}

// ---- state

func (n nodeID) set(key string, value Value, ttlMS int64, flags uint32) (uint64, error) {
	var (
		kind    C.int32_t
		data    unsafe.Pointer
		size    int
		bits    uint64
		typeURL string
	)
	switch value := value.(type) {
	case Bytes:
		kind, data, size = C.GOSSIP_VALUE_BYTES, unsafe.Pointer(unsafe.SliceData(value)), len(value)
	case Text:
		kind, data, size = C.GOSSIP_VALUE_TEXT, unsafe.Pointer(unsafe.StringData(string(value))), len(value)
	case Bool:
		kind = C.GOSSIP_VALUE_BOOL
		if value {
			bits = 1
		}
	case Int:
		kind, bits = C.GOSSIP_VALUE_INT, uint64(value)
	case Float:
		kind, bits = C.GOSSIP_VALUE_DOUBLE, floatBits(value)
	case Message:
		if value.TypeURL == "" {
			return 0, newError(ErrInvalidArgument, "a Message has no TypeURL; plain bytes are Bytes")
		}
		kind, data, size, typeURL = C.GOSSIP_VALUE_MESSAGE, unsafe.Pointer(unsafe.SliceData(value.Bytes)), len(value.Bytes), value.TypeURL
	default:
		return 0, newError(ErrInvalidArgument, "a value is Bytes, Text, Bool, Int, Float or Message, not nil")
	}
	result := C.shim_set(C.uint64_t(n), chars(key), C.size_t(len(key)), kind, data, C.size_t(size), C.uint64_t(bits),
		chars(typeURL), C.size_t(len(typeURL)), C.int64_t(ttlMS), C.uint32_t(flags))
	if result.status != C.GOSSIP_OK {
		message := ""
		if result.message != nil {
			message = C.GoString(result.message)
			C.free(unsafe.Pointer(result.message))
		}
		return 0, newError(Status(result.status), message)
	}
	return uint64(result.seq), nil
}

func (n nodeID) delete(key string) error {
	return check(Status(C.gossip_delete(n.c(), chars(key), C.size_t(len(key)))))
}

// get reads entries, of all members where member is nil.
func (n nodeID) get(member *string, key string, flags uint32) ([]Entry, error) {
	who, whoLen := optional(member)
	list := C.shim_get(C.uint64_t(n), who, whoLen, chars(key), C.size_t(len(key)), C.uint32_t(flags))
	if list.status != C.GOSSIP_OK {
		return nil, newError(Status(list.status), "")
	}
	entries, err := readEntries(packed(list), texts{key: key})
	C.gossip_entries_free((*C.gossip_entries)(list.list))
	return entries, err
}

// getFrom reads one member's entry.
func (n nodeID) getFrom(member, key string, flags uint32) (Entry, bool, error) {
	return takeEntry(C.shim_get(C.uint64_t(n), chars(member), C.size_t(len(member)), chars(key), C.size_t(len(key)), C.uint32_t(flags)), member, key)
}

// getOwn reads the node's own entry; self is its member id.
func (n nodeID) getOwn(self, key string) (Entry, bool, error) {
	return takeEntry(C.shim_get_own(C.uint64_t(n), chars(key), C.size_t(len(key))), self, key)
}

func takeEntry(list C.shim_list, member, key string) (Entry, bool, error) {
	if list.status != C.GOSSIP_OK {
		return Entry{}, false, newError(Status(list.status), "")
	}
	entry, found, err := readEntry(packed(list), texts{member: member, key: key})
	C.gossip_entries_free((*C.gossip_entries)(list.list))
	return entry, found, err
}

// ---- members

func (n nodeID) members(flags uint32) ([]Member, error) {
	var members *C.gossip_members
	status := C.gossip_members_get(n.c(), C.uint32_t(flags), &members)
	return takeMembers(C.shim_members(status, members))
}

func (n nodeID) self() (Member, error) {
	var members *C.gossip_members
	status := C.gossip_self(n.c(), &members)
	found, err := takeMembers(C.shim_members(status, members))
	if err != nil {
		return Member{}, err
	}
	return found[0], nil
}

func takeMembers(list C.shim_list) ([]Member, error) {
	if list.status != C.GOSSIP_OK {
		return nil, newError(Status(list.status), "")
	}
	defer C.gossip_members_free((*C.gossip_members)(list.list))
	return readMembers(packed(list))
}

// ---- state of the node, waiting, ending. With a timeout of 0 the waiting functions only look.

func (n nodeID) state() (NodeState, error) {
	var state C.int32_t
	err := check(Status(C.gossip_state(n.c(), &state)))
	return NodeState(state), err
}

func (n nodeID) membersThere(alive int) Status {
	return Status(C.gossip_wait_for_members(n.c(), C.size_t(alive), 0))
}

func (n nodeID) synced() Status {
	return Status(C.gossip_wait_synced(n.c(), 0))
}

// leave says the leave if it was not said, and looks whether it was acknowledged.
func (n nodeID) leave() Status {
	return Status(C.gossip_leave(n.c(), 0))
}

func (n nodeID) close() error {
	return check(Status(C.gossip_close(n.c())))
}

// abandon says that the node leaves, and closes it; it waits for nothing.
func (n nodeID) abandon() {
	C.gossip_leave_nowait(n.c())
	C.gossip_close_nowait(n.c())
}

// ---- queues

// queueID names a queue of the library.
type queueID uint64

func newQueue() (queueID, error) {
	var queue C.gossip_queue
	err := check(Status(C.gossip_queue_new(0, &queue)))
	return queueID(queue.id), err
}

func (q queueID) c() C.gossip_queue {
	return C.gossip_queue{id: C.uint64_t(q)}
}

// subscribe subscribes the queue; nil for member or key means any.
func (q queueID) subscribe(node nodeID, what Kind, member, key *string, flags uint32) error {
	who, whoLen := optional(member)
	keyText, keyLen := optional(key)
	return check(Status(C.shim_subscribe(C.uint64_t(node), C.uint32_t(what), who, whoLen, keyText, keyLen, C.uint32_t(flags), C.uint64_t(q))))
}

// fd gives the descriptor that is readable while the queue has something; -1 where the platform has none.
func (q queueID) fd() (int, error) {
	var fd C.int32_t
	switch status := Status(C.gossip_queue_fd(q.c(), &fd)); status {
	case statusOK:
		return int(fd), nil
	case ErrNotSupported:
		return -1, nil
	default:
		return -1, newError(status, "")
	}
}

// take takes up to max changes, after waiting for the first for at most timeoutMS; ErrTimeout if there is none.
func (q queueID) take(max int, timeoutMS int32, reader *changeReader) ([]Change, Status, error) {
	list := C.shim_take(C.uint64_t(q), C.size_t(max), C.int32_t(timeoutMS))
	if list.status != C.GOSSIP_OK {
		return nil, Status(list.status), nil
	}
	changes, err := reader.read(packed(list))
	C.gossip_events_free((*C.gossip_events)(list.list))
	return changes, statusOK, err
}

func (q queueID) free() {
	C.gossip_queue_free(q.c())
}
