"""A host that knows the library from its header alone, through cffi in its ABI mode: no binding, no C compiler for glue."""

import argparse
import os
import pathlib
import sys
import urllib.parse

import cffi

import header

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "mixed"))
from peer_process import encode, escape  # noqa: E402

declarations, constants = header.preprocess()
ffi = cffi.FFI()
ffi.cdef(declarations)
lib = ffi.dlopen(os.environ["CLUSTER_GOSSIP_LIBRARY"])
GOSSIP = {name.removeprefix("GOSSIP_"): number for name, number in constants.items()}


class Failed(Exception):
    pass


def check(status, errbuf=None):
    if status != GOSSIP["OK"]:
        text = ffi.string(errbuf).decode() if errbuf else ""
        raise Failed(ffi.string(lib.gossip_status_name(status)).decode(), text)


def sized(accessor, pointer):
    """The bytes behind an accessor that gives a pointer and a length."""
    length = ffi.new("size_t *")
    data = accessor(pointer, length)
    return None if data == ffi.NULL else ffi.buffer(data, length[0])[:]


class Host:
    def __init__(self, node_id, cluster, seeds):
        self.errbuf = ffi.new("char[]", GOSSIP["ERRBUF"])
        node = ffi.new("gossip_node *")
        settings = f"id={node_id}\ncluster={cluster}\nseeds={seeds}\nbind=127.0.0.1:0\n".encode()
        check(lib.gossip_open_text(settings, node, self.errbuf, len(self.errbuf)), self.errbuf)
        self.node = node[0]
        self.queue = None

    def address(self):
        out = ffi.new("gossip_members **")
        check(lib.gossip_self(self.node, out))
        members = ffi.gc(out[0], lib.gossip_members_free)
        return sized(lib.gossip_member_address, lib.gossip_members_at(members, 0)).decode()

    def members(self):
        out = ffi.new("gossip_members **")
        check(lib.gossip_members_get(self.node, 0, out))
        return lib.gossip_members_len(ffi.gc(out[0], lib.gossip_members_free))

    def set(self, key, kind, word):
        rest = (self.errbuf, len(self.errbuf))
        if kind == "text":
            text = unescape(word)
            status = lib.gossip_set_text(self.node, key, len(key), text, len(text), *rest)
        elif kind == "bool":
            status = lib.gossip_set_bool(self.node, key, len(key), word == "true", *rest)
        elif kind == "int":
            status = lib.gossip_set_int(self.node, key, len(key), int(word), *rest)
        elif kind == "double":
            status = lib.gossip_set_double(self.node, key, len(key), float(word), *rest)
        else:
            data = b"" if word == "-" else bytes.fromhex(word)
            status = lib.gossip_set(self.node, key, len(key), b"", data, len(data), *rest)
        check(status, self.errbuf)

    def delete(self, key):
        check(lib.gossip_delete(self.node, key, len(key)))

    def get(self, member, key):
        out = ffi.new("gossip_entries **")
        check(lib.gossip_get(self.node, member, key, len(key), 0, out))
        entries = ffi.gc(out[0], lib.gossip_entries_free)
        return value_of(lib.gossip_entries_at(entries, 0)) if lib.gossip_entries_len(entries) else "none"

    def subscribe(self):
        queue = ffi.new("gossip_queue *")
        check(lib.gossip_queue_new(0, queue))
        self.queue = queue[0]
        sub = ffi.new("gossip_sub *")
        what = GOSSIP["EVENTS_ENTRIES"] | GOSSIP["EVENTS_MEMBERS"]
        check(lib.gossip_subscribe_queue(self.node, what, ffi.NULL, ffi.NULL, 0, GOSSIP["SUB_NO_SELF"], self.queue, 7, sub))

    def next(self):
        out = ffi.new("gossip_events **")
        check(lib.gossip_queue_take(self.queue, 1, 30_000, out))
        events = ffi.gc(out[0], lib.gossip_events_free)
        event = lib.gossip_events_at(events, 0)
        assert lib.gossip_event_tag(event) == 7
        kind = lib.gossip_event_kind(event)
        entry, member = lib.gossip_event_entry(event), lib.gossip_event_member(event)
        if kind in (GOSSIP["EVENT_ENTRY_CHANGED"], GOSSIP["EVENT_ENTRY_DELETED"]):
            words = escape(sized(lib.gossip_entry_member, entry)), escape(sized(lib.gossip_entry_key, entry))
            return f"entry_changed {' '.join(words)} {value_of(entry)}" if kind == GOSSIP["EVENT_ENTRY_CHANGED"] else f"entry_deleted {' '.join(words)}"
        names = {GOSSIP["EVENT_MEMBER_JOINED"]: "member_joined", GOSSIP["EVENT_MEMBER_LEFT"]: "member_left"}
        return f"{names[kind]} {escape(sized(lib.gossip_member_id, member))}" if kind in names else f"other {kind}"

    def close(self):
        lib.gossip_leave(self.node, 1000)
        check(lib.gossip_close(self.node))
        if self.queue is not None:
            check(lib.gossip_queue_free(self.queue))


def value_of(entry):
    kind = lib.gossip_entry_value_kind(entry)
    if kind == GOSSIP["VALUE_TEXT"]:
        return encode(sized(lib.gossip_entry_text, entry).decode())
    if kind == GOSSIP["VALUE_BOOL"]:
        return encode(bool(out_value("int32_t *", lib.gossip_entry_bool, entry)))
    if kind == GOSSIP["VALUE_INT"]:
        return encode(out_value("int64_t *", lib.gossip_entry_int, entry))
    if kind == GOSSIP["VALUE_DOUBLE"]:
        return encode(out_value("double *", lib.gossip_entry_double, entry))
    if kind == GOSSIP["VALUE_BYTES"]:
        return encode(sized(lib.gossip_entry_value, entry))
    return "other " + sized(lib.gossip_entry_type_url, entry).decode()


def out_value(pointer, accessor, entry):
    out = ffi.new(pointer)
    check(accessor(entry, out))
    return out[0]


def unescape(word):
    return b"" if word == "-" else urllib.parse.unquote_to_bytes(word)


def answer(host, command, words):
    if command == "set":
        host.set(unescape(words[0]), words[1], words[2])
    elif command == "get":
        return host.get(unescape(words[0]), unescape(words[1]))
    elif command == "delete":
        host.delete(unescape(words[0]))
    elif command == "members":
        return f"members {host.members()}"
    elif command == "subscribe":
        host.subscribe()
    elif command == "next":
        return host.next()
    elif command == "ban":
        check(lib.gossip_ban(host.node, unescape(words[0]), host.errbuf, len(host.errbuf)), host.errbuf)
    elif command == "unban":
        check(lib.gossip_unban(host.node, unescape(words[0]), host.errbuf, len(host.errbuf)), host.errbuf)
    elif command == "bans":
        out = ffi.new("gossip_bytes **")
        check(lib.gossip_bans(host.node, out))
        return sized(lib.gossip_bytes_data, ffi.gc(out[0], lib.gossip_bytes_free)).decode()
    elif command == "statistic":
        check(lib.gossip_statistic_set(host.node, unescape(words[0]), int(words[1]), host.errbuf, len(host.errbuf)), host.errbuf)
    else:
        raise SystemExit(f"not understood: {command}")
    return "ok"


def main():
    parser = argparse.ArgumentParser()
    for name in ("--id", "--cluster", "--seeds"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    assert lib.gossip_abi_version() == GOSSIP["ABI_VERSION"]
    host = Host(options.id, options.cluster, options.seeds)
    print("ready", host.address(), flush=True)
    said = ""
    for line in sys.stdin:
        command, *words = line.split()
        if command == "quit":
            said = "bye"
            break
        try:
            print(answer(host, command, words), flush=True)
        except Failed as error:
            print("error", error.args[0], flush=True)
    host.close()
    if said:
        print(said, flush=True)


if __name__ == "__main__":
    main()
