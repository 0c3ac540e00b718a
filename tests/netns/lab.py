"""Hosts of a test: network namespaces with a process of the library in each, and what can go wrong between them.

    with Lab("cut", 6) as lab:
        ...

Each lab has a namespace for its switch and one for each host, whose eth0 is 10.0.0.N. All of it is gone after the `with`;
what a run left that was killed, the next one removes. Addresses exist within these namespaces only, so that labs that run at
the same time do not meet.
"""

import atexit
import fcntl
import heapq
import json
import os
import pathlib
import queue
import random
import re
import select
import signal
import struct
import subprocess
import threading
import time

from harness import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "netns"
PEER = ROOT / "target" / "release" / "examples" / "netns_peer"
PREFIX = "cgossip"
PORT = 4711
# Ends a wait for an answer that would never come.
ANSWER_SECONDS = 60


def run(*command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{text or ''}\n{done.stdout}"
    return done.stdout


def why_not():
    """Why there can be no lab on this machine; empty if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"{PREFIX}-{os.getpid()}-try"
    try:
        run("ip", "netns", "add", name)
    except (OSError, AssertionError) as error:
        return f"no network namespace can be made: {error}".strip().replace("\n", " ")
    try:
        run("ip", "-n", name, "link", "add", "p0", "type", "bridge")
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "p1")
        run("ip", "netns", "exec", name, "nft", "-f", "-", text=BLOCK.format(port="p1", match="meta l4proto udp"))
        os.close(os.open("/dev/net/tun", os.O_RDWR))
        run("dnsmasq", "--version")
    except (OSError, AssertionError) as error:
        return f"this system lacks what the hosts are made of: {error}".strip().replace("\n", " ")
    finally:
        run("ip", "netns", "del", name)
    return ""


def sweep():
    """Removes what a run that was killed has left."""
    for name in re.findall(rf"^({PREFIX}-\d+-\S+)", run("ip", "netns", "list"), re.M):
        if pathlib.Path(f"/proc/{name.split('-')[1]}").exists():
            continue
        for pid in run("ip", "netns", "pids", name).split():
            os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", name)


# What comes from a host is dropped where it enters the switch: its own system does not see that, as it would see a rule of its own.
BLOCK = """
table netdev block_{port} {{
    chain from_host {{
        type filter hook ingress device {port} priority 0;
        {match} drop
    }}
}}
"""
# What goes to a host is dropped as it comes in there.
BLOCK_IN = """
table ip block {{
    chain in {{
        type filter hook input priority 0;
        {match} drop
    }}
}}
"""


class Peer:
    """A process of the library on a host, with all that it was told (`events`) and the members as the events tell of them (`view`)."""

    def __init__(self, lab, host, name, settings):
        self.lab, self.host, self.id = lab, host, name
        self.events, self.view = [], {}
        self.answers = queue.Queue()
        self.killed = False
        words = [f"{key}={value}" for key, value in settings.items()]
        self.process = subprocess.Popen([*lab.within(host), str(PEER), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=lab.errors, text=True, encoding="utf-8")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        ready = self.answers.get(timeout=ANSWER_SECONDS)
        assert ready.get("ready") == name, f"{name}: {ready}"

    def _read(self):
        for line in self.process.stdout:
            line = json.loads(line)
            if "event" not in line:
                self.answers.put(line)
                continue
            member = line["member"]
            if member:
                # A later life of an id stands for the id.
                known = self.view.get(member["id"])
                if not known or member["generation"] >= known["generation"]:
                    self.view[member["id"]] = member
                    if line["event"] == "removed":
                        del self.view[member["id"]]
            event = {"at": time.monotonic(), **line}
            self.events.append(event)
            self.lab.note(self, event)
        self.answers.put({"ended": self.process.poll()})

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=ANSWER_SECONDS)
        assert "error" not in answer and "answer" in answer, f"{self.id} answers {answer} to {words}"
        return answer["answer"]

    def refuses(self, *words):
        """The error in words that this peer gives to a command."""
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.answers.get(timeout=ANSWER_SECONDS).get("error", "")

    def told(self, word, of=None, since=0.0):
        """The events of that kind about that member since then."""
        return [event for event in list(self.events)
                if event["event"] == word and event["at"] >= since and (of is None or (event["member"] or {}).get("id") == of)]

    def texts(self, word, part, since=0.0):
        return [event["text"] for event in self.told(word, since=since) if part in event["text"]]

    def holds(self, of):
        """What it holds of a member: alive, suspect, dead, ...; None if it does not know it."""
        member = self.view.get(of)
        return member["status"] if member else None

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()
        self.reader.join(timeout=ANSWER_SECONDS)

    def usage(self):
        return self.ask("usage")


class Wire(threading.Thread):
    """A switch in this process, for what the kernel may not be able to do: losing and delaying what passes (not every kernel
    is built with netem). Its hosts' eth0 are TAP devices."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.loss = 0.0
        self.jitter = 0.0
        self.flips = 0.0
        self.ports = {}
        self.passed = self.lost = self.flipped = 0
        self.learnt = {}
        self.ended = False

    def plug(self, namespace):
        """Makes eth0 of a namespace, with this at its other end."""
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        name = f"cg{os.getpid():x}x{fd}"
        # TUNSETIFF; IFF_TAP, IFF_NO_PI
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))
        run("ip", "link", "set", name, "netns", namespace, "name", "eth0")
        self.ports[fd] = namespace

    def run(self):
        poll = select.poll()
        for fd in self.ports:
            poll.register(fd, select.POLLIN)
        waiting, number = [], 0
        while not self.ended:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, fd, frame = heapq.heappop(waiting)
                try:
                    os.write(fd, frame)
                except OSError:
                    self.lost += 1
            pause = min(waiting[0][0] - now, 0.2) if waiting else 0.2
            for fd, _ in poll.poll(max(0, int(pause * 1000))):
                try:
                    frame = os.read(fd, 65536)
                except OSError:
                    continue
                self.learnt[frame[6:12]] = fd
                if self.random.random() < self.loss:
                    self.lost += 1
                    continue
                self.passed += 1
                if self.random.random() < self.flips:
                    frame = self.flip(frame)
                to = self.learnt.get(frame[0:6])
                for out in [to] if to else [other for other in self.ports if other != fd]:
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + self.random.uniform(0, self.jitter), number, out, frame))

    def flip(self, frame):
        """The frame with a bit of its UDP payload flipped, and no checksum of UDP (RFC 768 lets a sender leave it out), as if the
        fault had come after it was checked. Frames of other protocols are left alone."""
        payload = 14 + 20 + 8
        # IPv4 without options, not a fragment, UDP
        if len(frame) <= payload or frame[12:15] != b"\x08\x00\x45" or frame[20] & 0x3F or frame[21] or frame[23] != 17:
            return frame
        self.flipped += 1
        frame = bytearray(frame)
        frame[payload - 2 : payload] = b"\0\0"
        bit = self.random.randrange(payload * 8, len(frame) * 8)
        frame[bit // 8] ^= 1 << bit % 8
        return bytes(frame)

    def end(self):
        self.ended = True
        if self.is_alive():
            self.join()
        for fd in self.ports:
            os.close(fd)


class Lab:
    """See above. The switch has two halves with a cable between them: hosts with odd and with even numbers."""

    def __init__(self, name, hosts, wire=False, **settings):
        self.name, self.hosts = name, range(1, hosts + 1)
        self.settings = {"cluster": name, "bind": f"0.0.0.0:{PORT}", "log_level": "info", **settings}
        self.switch = f"{PREFIX}-{os.getpid()}-{name}-switch"
        self.wire = Wire(1) if wire else None
        self.peers = {}
        self.others = []
        self.figures = []
        self.start = time.monotonic()
        BUILD.mkdir(parents=True, exist_ok=True)
        self.log = open(BUILD / f"{name}.log", "w")
        self.errors = open(BUILD / f"{name}.stderr", "w")
        self.resolv = None

    def namespace(self, host):
        return f"{PREFIX}-{os.getpid()}-{self.name}-{host}"

    def address(self, host):
        return f"10.0.0.{host}"

    def within(self, host):
        """What a command line begins with that is to run on a host."""
        command = ["ip", "netns", "exec", self.namespace(host)]
        if self.resolv:
            # `ip netns exec` gives the process mounts of its own.
            command += ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(self.resolv)]
        return command

    def __enter__(self):
        atexit.register(self.remove)
        run("ip", "netns", "add", self.switch)
        links = ["link set lo up", "link add half1 type bridge", "link add half0 type bridge", "link add cable1 type veth peer name cable0"]
        for half in (0, 1):
            links += [f"link set cable{half} master half{half}", f"link set half{half} up", f"link set cable{half} up"]
        self.ip(self.switch, *links)
        for host in self.hosts:
            namespace = self.namespace(host)
            run("ip", "netns", "add", namespace)
            if self.wire:
                self.wire.plug(namespace)
            else:
                run("ip", "-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{host}", "netns", self.switch)
                self.ip(self.switch, f"link set p{host} master half{host % 2}", f"link set p{host} up")
            self.ip(namespace, "link set lo up", "link set eth0 up", f"addr add {self.address(host)}/24 dev eth0")
        if self.wire:
            self.wire.start()
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        atexit.unregister(self.remove)
        for process in [peer.process for peer in self.peers.values()] + self.others:
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.wire:
            self.wire.end()
        for namespace in [self.switch, *map(self.namespace, self.hosts)]:
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)

    def ip(self, namespace, *lines):
        run("ip", "-n", namespace, "-batch", "-", text="\n".join(lines) + "\n")

    # ---- what is written down

    def note(self, peer, event):
        member = event["member"] or {}
        words = [member.get("id"), member.get("address"), member.get("status"), event["text"]]
        self.say(f"{peer.id}: {event['event']} {' '.join(word for word in words if word)}", event["at"])

    def say(self, text, at=None):
        if not self.log.closed:
            print(f"{(at or time.monotonic()) - self.start:8.3f}  {text}", file=self.log, flush=True)

    def figure(self, text):
        """A figure measured, for people."""
        self.say(f"--- {text}")
        self.figures.append(text)

    # ---- processes

    def open(self, host, name=None, **settings):
        """Starts a process of the library on a host."""
        name = name or f"h{host}"
        self.say(f"--- {name} is started on host {host}")
        peer = Peer(self, host, name, {"id": name, **self.settings, **settings})
        self.peers[name] = peer
        return peer

    def open_all(self, hosts=None):
        """One on each host, or on so many, with the first two hosts as seeds, and waits until all know all."""
        self.settings.setdefault("seeds", ",".join(f"{self.address(host)}:{PORT}" for host in (1, 2)))
        peers = [self.open(host) for host in self.hosts[:hosts]]
        self.whole()
        return peers

    def running(self):
        return [peer for peer in self.peers.values() if not peer.killed]

    def whole(self, seconds=60, peers=None):
        """Waits until all peers hold all alive, and nobody else; gives when the last one came to that, as its events tell."""
        peers = peers or self.running()
        ids = {peer.id for peer in peers}

        def state():
            views = {peer.id: {one: peer.holds(one) for one in {*ids, *peer.view}} for peer in peers}
            return {peer: wrong for peer, view in views.items()
                    if (wrong := {one: status for one, status in view.items() if (status == "alive") != (one in ids)})}
        try:
            until("all hold all alive", lambda: not state(), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {state()}") from None
        at = time.monotonic()
        # The events have said so; so does the table.
        for peer in peers:
            alive = {member["id"] for member in peer.ask("members") if member["status"] == "alive"}
            assert alive == ids, f"{peer.id} has {sorted(alive)} in its table, and was told {peer.view}"
        return at

    def all_hold(self, status, of, peers, seconds=60):
        """Waits until all of these hold that of a member; gives how long it took since now, for the first and for the last."""
        since = time.monotonic()
        words = {"dead": "dead", "suspect": "suspected", "alive": "alive"}
        until(f"{of} is {status} at {', '.join(peer.id for peer in peers)}", lambda: all(peer.holds(of) == status for peer in peers), seconds)
        times = [event["at"] - since for peer in peers for event in peer.told(words[status], of, since)]
        return (min(times), max(times)) if times else (0.0, 0.0)

    def held_dead(self, of, since):
        """With which reason in words a member was held dead by those who found it out."""
        return {text.split(" is held dead: ")[1] for peer in self.peers.values() for text in peer.texts("log", " is held dead: ", since)
                if f"member {of} at" in text}

    def agree(self, peers, seconds=60, entries=None):
        """Waits until all of these hold the same of each of them, and so many entries of it where that is said; gives how long it took."""
        since = time.monotonic()
        for writer in peers:
            def views():
                return {reader.id: reader.ask("holds", writer.id) for reader in peers}

            def equal():
                held = list(views().values())
                return all(one == held[0] for one in held) and (entries is None or held[0][0] == entries[writer.id])
            try:
                until(f"all hold the same of {writer.id}", equal, seconds)
            except AssertionError as error:
                raise AssertionError(f"{error}: {views()}, wanted {entries}") from None
        return time.monotonic() - since

    def exchange(self, peers, mark, seconds=60):
        """Each writes something, and all read it of each; gives how long that took."""
        since = time.monotonic()
        for peer in peers:
            peer.ask("set", "mark", mark)
        for reader in peers:
            for writer in peers:
                until(f"{reader.id} reads what {writer.id} wrote", lambda: reader.ask("get", writer.id, "mark") == mark, seconds)
        return time.monotonic() - since

    # ---- what goes wrong

    def unplug(self, host):
        self.say(f"--- the cable of host {host} is cut")
        self.ip(self.switch, f"link set p{host} down")

    def plug(self, host):
        self.say(f"--- the cable of host {host} is back")
        self.ip(self.switch, f"link set p{host} up")

    def split(self):
        self.say("--- the switch is split")
        self.ip(self.switch, "link set cable0 down")

    def join(self):
        self.say("--- the switch is whole")
        self.ip(self.switch, "link set cable0 up")

    def block_from(self, host, match):
        """Drops packets that come from a host, of those that match as nftables says it."""
        self.say(f"--- what comes from host {host} is dropped: {match}")
        run("ip", "netns", "exec", self.switch, "nft", "-f", "-", text=BLOCK.format(port=f"p{host}", match=match))

    def block_to(self, host, match):
        """Drops packets that go to a host."""
        self.say(f"--- what goes to host {host} is dropped: {match}")
        run("ip", "netns", "exec", self.namespace(host), "nft", "-f", "-", text=BLOCK_IN.format(match=match))

    def unblock(self, host):
        self.say(f"--- nothing is dropped at host {host}")
        # Named first, so that it is no error where there is none.
        for namespace, table in ((self.switch, f"netdev block_p{host}"), (self.namespace(host), "ip block")):
            run("ip", "netns", "exec", namespace, "nft", "-f", "-", text=f"table {table}\ndelete table {table}\n")

    def move(self, host, address):
        """Gives a host another address."""
        self.say(f"--- host {host} gets the address {address}")
        self.ip(self.namespace(host), f"addr del {self.address(host)}/24 dev eth0", f"addr add {address}/24 dev eth0")

    def name_server(self):
        """Starts a DNS server at 10.0.0.254, on the switch, which all hosts ask; gives what sets its answers."""
        hosts, config = BUILD / f"{self.name}.hosts", BUILD / f"{self.name}.resolv"
        hosts.write_text("")
        config.write_text("nameserver 10.0.0.254\noptions timeout:1 attempts:2\n")
        self.resolv = config
        self.ip(self.switch, "addr add 10.0.0.254/24 dev half0")
        server = subprocess.Popen(["ip", "netns", "exec", self.switch, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                                   "--no-hosts", f"--addn-hosts={hosts}", "--user=root", "--pid-file", "--log-facility=-"],
                                  stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        self.others.append(server)
        until("the DNS server has started", lambda: "started" in pathlib.Path(self.errors.name).read_text(), ANSWER_SECONDS)

        def answers(name, *of):
            self.say(f"--- {name} is {', '.join(f'host {host}' for host in of)}")
            hosts.write_text("".join(f"{self.address(host)} {name}\n" for host in of))
            assert server.poll() is None, "the DNS server has ended"
            server.send_signal(signal.SIGHUP)
        return answers
