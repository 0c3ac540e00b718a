// A host that knows the library from its header alone, through koffi: every declaration below is read from the header.
"use strict";
const fs = require("fs");
const readline = require("readline");
const koffi = require("koffi");

// Both written by run.py: the header as the C preprocessor leaves it, and its integer constants.
const header = JSON.parse(fs.readFileSync(process.env.GENERIC_FFI_HEADER, "utf8"));
const C = Object.fromEntries(Object.entries(header.constants).map(([name, number]) => [name.slice("GOSSIP_".length), number]));
const lib = declare(header.declarations);

/// Declares the header's types, then its functions, one by one.
function declare(text) {
  const library = koffi.load(process.env.CLUSTER_GOSSIP_LIBRARY);
  const functions = {};
  text = text.replace(/\s+/g, " ").replace(/extern "C" \{/, "");
  for (const [, name, field] of text.matchAll(/typedef struct (\w+) \{ uint64_t (\w+); \} \1;/g))
    koffi.struct(name, { [field]: "uint64_t" });
  for (const [, name] of text.matchAll(/typedef struct (\w+) \1;/g)) koffi.opaque(name);
  for (const [, type, name] of text.matchAll(/typedef (u?int\d+_t) (\w+);/g)) koffi.alias(name, type);
  for (const [, result, name, parameters] of text.matchAll(/typedef (\w+) \(\*(\w+)\)\(([^)]*)\);/g))
    koffi.pointer(name, koffi.proto(`${result} ${name}_proto(${parameters.replace(/\bstruct /g, "")})`));
  text = text.replace(/typedef struct \w+ \{[^}]*\} \w+;|typedef [^;]*;/g, "").replace(/\bstruct /g, "");
  for (const [, result, name, parameters] of text.matchAll(/((?:const )?\w+ \*?)(gossip_\w+)\(([^)]*)\);/g)) {
    const words = parameters.split(",").map((parameter) => direction(parameter.trim()));
    // A text that comes with its length may hold zero bytes: it is read by that length, not as a JavaScript string.
    const counted = /^const char \*$/.test(result) && /size_t \*/.test(parameters);
    functions[name] = library.func(`${counted ? "const uint8_t *" : result}${name}(${words.join(", ")})`);
  }
  return functions;
}

/// koffi must be told what is written to: what points to something not const, unless it is text, user data, or freed.
function direction(parameter) {
  const out = /^(?!const )(?!void )(?!char )\w+ \*(\*)?\w+$/.exec(parameter);
  const freed = /^gossip_(entries|members|events|bytes) \*\w+$/.test(parameter);
  return out && !freed ? `_Out_ ${parameter}` : parameter;
}

class Failed extends Error {}

function check(status, errbuf) {
  if (status !== C.OK) {
    const text = errbuf ? errbuf.toString("utf8", 0, errbuf.indexOf(0)) : "";
    throw Object.assign(new Failed(text), { status: lib.gossip_status_name(status) });
  }
}

/// The one value that a function writes through its last parameter.
function written(call) {
  const out = [null];
  check(call(out));
  return out[0];
}

/// An id, which is a struct of one field.
function writtenId(call) {
  const out = {};
  check(call(out));
  return out;
}

/// The bytes behind an accessor that gives a pointer and a length; copied, since they live only as long as the list.
function sized(accessor, pointer) {
  const length = [0];
  const data = accessor(pointer, length);
  return data === null ? null : Buffer.from(koffi.decode(data, "uint8_t", Number(length[0])));
}

function escape(bytes) {
  const word = [...bytes].map((b) => {
    const c = String.fromCharCode(b);
    return /[A-Za-z0-9]/.test(c) ? c : "%" + b.toString(16).padStart(2, "0");
  });
  return word.join("") || "-";
}

function unescape(word) {
  if (word === "-") return Buffer.alloc(0);
  return Buffer.from(word.replace(/%(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16))), "latin1");
}

function valueOf(entry) {
  switch (lib.gossip_entry_value_kind(entry)) {
    case C.VALUE_TEXT:
      return "text " + escape(sized(lib.gossip_entry_text, entry));
    case C.VALUE_BOOL:
      return "bool " + (written((out) => lib.gossip_entry_bool(entry, out)) !== 0);
    case C.VALUE_INT:
      return "int " + written((out) => lib.gossip_entry_int(entry, out));
    case C.VALUE_DOUBLE: {
      const number = written((out) => lib.gossip_entry_double(entry, out));
      return "double " + (Object.is(number, -0) ? "-0.0" : String(number).replace("Infinity", "inf"));
    }
    case C.VALUE_BYTES:
      return "bytes " + (sized(lib.gossip_entry_value, entry).toString("hex") || "-");
    default:
      return "other " + sized(lib.gossip_entry_type_url, entry);
  }
}

class Host {
  constructor(id, cluster, seeds) {
    const errbuf = Buffer.alloc(C.ERRBUF);
    this.node = {};
    check(lib.gossip_open_text(`id=${id}\ncluster=${cluster}\nseeds=${seeds}\nbind=127.0.0.1:0\n`, this.node, errbuf, errbuf.length), errbuf);
  }

  address() {
    const members = written((out) => lib.gossip_self(this.node, out));
    const address = sized(lib.gossip_member_address, lib.gossip_members_at(members, 0)).toString();
    lib.gossip_members_free(members);
    return address;
  }

  members() {
    const members = written((out) => lib.gossip_members_get(this.node, 0, out));
    const count = lib.gossip_members_len(members);
    lib.gossip_members_free(members);
    return `members ${count}`;
  }

  set(key, kind, word) {
    const errbuf = Buffer.alloc(C.ERRBUF);
    const rest = [errbuf, errbuf.length];
    if (kind === "text") {
      const text = unescape(word);
      check(lib.gossip_set_text(this.node, key, key.length, text, text.length, ...rest), errbuf);
    } else if (kind === "bool") {
      check(lib.gossip_set_bool(this.node, key, key.length, word === "true" ? 1 : 0, ...rest), errbuf);
    } else if (kind === "int") {
      check(lib.gossip_set_int(this.node, key, key.length, BigInt(word), ...rest), errbuf);
    } else if (kind === "double") {
      const number = Number(word.replace("inf", "Infinity").replace("nan", "NaN"));
      check(lib.gossip_set_double(this.node, key, key.length, number, ...rest), errbuf);
    } else {
      const bytes = word === "-" ? Buffer.alloc(0) : Buffer.from(word, "hex");
      check(lib.gossip_set(this.node, key, key.length, "", bytes, bytes.length, ...rest), errbuf);
    }
    return "ok";
  }

  delete(key) {
    check(lib.gossip_delete(this.node, key, key.length));
    return "ok";
  }

  get(member, key) {
    const entries = written((out) => lib.gossip_get(this.node, member.toString(), key, key.length, 0, out));
    const answer = lib.gossip_entries_len(entries) ? valueOf(lib.gossip_entries_at(entries, 0)) : "none";
    lib.gossip_entries_free(entries);
    return answer;
  }

  subscribe() {
    this.queue = writtenId((out) => lib.gossip_queue_new(0, out));
    const what = C.EVENTS_ENTRIES | C.EVENTS_MEMBERS;
    writtenId((out) => lib.gossip_subscribe_queue(this.node, what, null, null, 0, C.SUB_NO_SELF, this.queue, 7, out));
    return "ok";
  }

  async next() {
    // On a worker thread of koffi's, so that Node's own loop goes on.
    const out = [null];
    check(await new Promise((done, failed) => {
      lib.gossip_queue_take.async(this.queue, 1, 30000, out, (error, status) => (error ? failed(error) : done(status)));
    }));
    const event = lib.gossip_events_at(out[0], 0);
    if (Number(lib.gossip_event_tag(event)) !== 7) throw new Error("the event carries another subscription's tag");
    const answer = this.eventOf(lib.gossip_event_kind(event), event);
    lib.gossip_events_free(out[0]);
    return answer;
  }

  eventOf(kind, event) {
    const entry = lib.gossip_event_entry(event);
    if (kind === C.EVENT_ENTRY_CHANGED || kind === C.EVENT_ENTRY_DELETED) {
      const words = `${escape(sized(lib.gossip_entry_member, entry))} ${escape(sized(lib.gossip_entry_key, entry))}`;
      return kind === C.EVENT_ENTRY_CHANGED ? `entry_changed ${words} ${valueOf(entry)}` : `entry_deleted ${words}`;
    }
    const names = { [C.EVENT_MEMBER_JOINED]: "member_joined", [C.EVENT_MEMBER_LEFT]: "member_left" };
    const member = lib.gossip_event_member(event);
    return names[kind] ? `${names[kind]} ${escape(sized(lib.gossip_member_id, member))}` : `other ${kind}`;
  }

  ban(call, member) {
    const errbuf = Buffer.alloc(C.ERRBUF);
    check(call(this.node, member.toString(), errbuf, errbuf.length), errbuf);
    return "ok";
  }

  bans() {
    const bytes = written((out) => lib.gossip_bans(this.node, out));
    const text = sized(lib.gossip_bytes_data, bytes).toString();
    lib.gossip_bytes_free(bytes);
    return text;
  }

  statistic(name, number) {
    const errbuf = Buffer.alloc(C.ERRBUF);
    check(lib.gossip_statistic_set(this.node, name.toString(), BigInt(number), errbuf, errbuf.length), errbuf);
    return "ok";
  }

  close() {
    lib.gossip_leave(this.node, 1000);
    check(lib.gossip_close(this.node));
    if (this.queue) check(lib.gossip_queue_free(this.queue));
  }
}

async function answer(host, command, words) {
  switch (command) {
    case "set":
      return host.set(unescape(words[0]), words[1], words[2]);
    case "get":
      return host.get(unescape(words[0]), unescape(words[1]));
    case "delete":
      return host.delete(unescape(words[0]));
    case "members":
      return host.members();
    case "subscribe":
      return host.subscribe();
    case "next":
      return await host.next();
    case "ban":
      return host.ban(lib.gossip_ban, unescape(words[0]));
    case "unban":
      return host.ban(lib.gossip_unban, unescape(words[0]));
    case "bans":
      return host.bans();
    case "statistic":
      return host.statistic(unescape(words[0]), words[1]);
    default:
      throw new Error(`not understood: ${command}`);
  }
}

function option(name) {
  return process.argv[process.argv.indexOf(name) + 1];
}

async function main() {
  if (lib.gossip_abi_version() !== C.ABI_VERSION) throw new Error("the library has another ABI version than the header");
  const host = new Host(option("--id"), option("--cluster"), option("--seeds"));
  console.log(`ready ${host.address()}`);
  let said = "";
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(" ");
    if (command === "quit") {
      said = "bye";
      break;
    }
    try {
      console.log(await answer(host, command, words));
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      console.log(`error ${error.status}`);
    }
  }
  host.close();
  // Else Node would wait for more input.
  process.stdin.destroy();
  if (said) console.log(said);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
