"""A member of the mixed cluster in Python, through the package, told what to do by lines on its standard input (../README.md)."""

import argparse
import sys
from urllib.parse import unquote_to_bytes

from cluster_gossip import Any, GossipError, Node


def unescape(word):
    return "" if word == "-" else unquote_to_bytes(word).decode()


def escape(text):
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in text) or "-"


PARSE = {
    "bytes": lambda word: b"" if word == "-" else bytes.fromhex(word),
    "text": unescape,
    "bool": lambda word: word == "true",
    "int": int,
    "double": float,
}


def show(value):
    # bool first, which is an int too.
    if isinstance(value, bool):
        return f"bool {'true' if value else 'false'}"
    if isinstance(value, int):
        return f"int {value}"
    if isinstance(value, float):
        return f"double {value!r}"
    if isinstance(value, str):
        return f"text {escape(value)}"
    if isinstance(value, bytes):
        return f"bytes {value.hex() or '-'}"
    return f"other {value.type_url if isinstance(value, Any) else value!r}"


def answer(node, command, words):
    if command == "set":
        node.set(unescape(words[0]), PARSE[words[1]](words[2]))
        return "ok"
    if command == "get":
        entry = node.get(unescape(words[0]), unescape(words[1]))
        return "none" if entry is None else show(entry.value)
    if command == "delete":
        node.delete(unescape(words[0]))
        return "ok"
    if command == "members":
        return f"members {len(node.members())}"
    sys.exit(f"not understood: {command}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--id", "--cluster", "--seeds"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    with Node(id=options.id, cluster=options.cluster, seeds=options.seeds, bind="127.0.0.1:0") as node:
        print("ready", node.address, flush=True)
        for line in sys.stdin:
            command, *words = line.split()
            if command == "quit":
                node.close()
                print("bye", flush=True)
                return
            try:
                print(answer(node, command, words), flush=True)
            except GossipError as error:
                print("error", error.name, flush=True)


if __name__ == "__main__":
    main()
