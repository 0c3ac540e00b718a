package main

// #cgo !gossip_static pkg-config: cluster_gossip
// #cgo gossip_static CFLAGS: -I${SRCDIR}/../lib/include
// #include <cluster_gossip.h>
// #include <stdlib.h>
//
// static gossip_status bare_open(const char *settings, uint64_t *node)
// {
//     gossip_node out;
//     gossip_status status = gossip_open_text(settings, &out, NULL, 0);
//     if (status == GOSSIP_OK) *node = out.id;
//     return status;
// }
import "C"

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// bare is a node that is used through cgo alone, one call of the library each: what the binding is compared with.
type bare struct {
	node   C.gossip_node
	key    *C.char
	keyLen C.size_t
	value  unsafe.Pointer
	size   C.size_t
}

func openBare(settings, key string, value []byte) *bare {
	b := &bare{key: C.CString(key), keyLen: C.size_t(len(key)), value: C.CBytes(value), size: C.size_t(len(value))}
	text := C.CString(settings)
	defer C.free(unsafe.Pointer(text))
	var id C.uint64_t
	b.check(C.bare_open(text, &id))
	b.node.id = id
	return b
}

func (b *bare) check(status C.gossip_status) {
	if status != C.GOSSIP_OK {
		panic(C.GoString(C.gossip_status_text(status)))
	}
}

func (b *bare) close() {
	b.check(C.gossip_leave_nowait(b.node))
	b.check(C.gossip_close(b.node))
	C.free(unsafe.Pointer(b.key))
	C.free(b.value)
}

// nothing is a call of the library that does nothing: what crossing costs.
func nothing() {
	C.gossip_abi_version()
}

// getter reads the key of one member, or of all, and makes nothing of the answer.
func (b *bare) getter(member string) func() {
	var who *C.char
	if member != "" {
		// Lives as long as the program.
		who = C.CString(member)
	}
	return func() {
		var entries *C.gossip_entries
		b.check(C.gossip_get(b.node, who, b.key, b.keyLen, 0, &entries))
		C.gossip_entries_free(entries)
	}
}

func (b *bare) getOwn() {
	var entries *C.gossip_entries
	b.check(C.gossip_get_own(b.node, b.key, b.keyLen, &entries))
	C.gossip_entries_free(entries)
}

func (b *bare) set() {
	b.check(C.gossip_set_plain(b.node, b.key, b.keyLen, C.GOSSIP_VALUE_BYTES, b.value, b.size, 0, 0, nil, nil, 0))
}

// events calls fill, takes so many events, and only walks over their packed bytes; ready is called before the first take.
func (b *bare) events(prefix string, count int, fill func(key string), keys []string, ready func()) {
	var queue C.gossip_queue
	var sub C.gossip_sub
	b.check(C.gossip_queue_new(0, &queue))
	defer C.gossip_queue_free(queue)
	text := C.CString(prefix)
	defer C.free(unsafe.Pointer(text))
	b.check(C.gossip_subscribe_queue(b.node, C.GOSSIP_EVENTS_ENTRIES, nil, text, C.size_t(len(prefix)), C.GOSSIP_SUB_PREFIX, queue, 1, &sub))
	for _, key := range keys {
		fill(key)
	}
	ready()
	for seen := 0; seen < count; {
		var events *C.gossip_events
		b.check(C.gossip_queue_take(queue, 256, 30_000, &events))
		var length C.size_t
		packed := unsafe.Slice((*byte)(C.gossip_events_packed(events, &length)), length)
		for len(packed) > 0 {
			packed = packed[binary.LittleEndian.Uint32(packed):]
			seen++
		}
		C.gossip_events_free(events)
	}
}

// setKey sets another key to the same value.
func (b *bare) setKey(key string) {
	text := C.CString(key)
	defer C.free(unsafe.Pointer(text))
	b.check(C.gossip_set_plain(b.node, text, C.size_t(len(key)), C.GOSSIP_VALUE_BYTES, b.value, b.size, 0, 0, nil, nil, 0))
}

func bareSettings(cluster, seed string) string {
	return fmt.Sprintf("cluster=%s\nbind=127.0.0.1:0\nseeds=%s", cluster, seed)
}
