"""Scenarios of what members publish: much of it, fast, in small packets, over bad lines (README.md). As in scenarios.py."""

import re
import subprocess
import threading
import time

from harness import until
from lab import PORT, Lab
from scenarios import nobody, words


def entries(peers, count):
    return {peer.id: count for peer in peers}


def losing(report):
    """A fifth of the packets is lost, the others come up to 200 ms late and overtake each other, while keys come and go."""
    with Lab("losing", 6, wire=True) as lab:
        peers = lab.open_all()
        lab.wire.loss, lab.wire.jitter = 0.2, 0.2
        with report.check("20 % loss, 200 ms of jitter: what was set, set again and deleted is everywhere"):
            for peer in peers:
                peer.ask("fill", "kept", "100", "200")
                peer.ask("fill", "gone", "100", "200")
            for peer in peers:
                peer.ask("clear", "gone")
                peer.ask("fill", "kept", "50", "100")
            lab.figure(f"losing: all agree {words(lab.agree(peers, entries=entries(peers, 100)))} after the last of 2,100 changes")
        with report.check("20 % loss, 200 ms of jitter: a value of 1 MB arrives"):
            since = time.monotonic()
            peers[0].ask("set_large", "large", str(1_000_000))
            until("it is everywhere", lambda: all(peer.ask("get", peers[0].id, "large") == 1_000_000 for peer in peers))
            lab.figure(f"losing: 1 MB is everywhere {words(time.monotonic() - since)} after it was set")
        with report.check("nobody is held dead"):
            nobody("dead", peers, {peer.id for peer in peers})
        return lab


def flipped(report):
    """One packet of ten arrives with a bit flipped, past all checks of the network."""
    with Lab("flipped", 5, wire=True) as lab:
        peers = lab.open_all()
        lab.wire.flips = 0.1
        with report.check("flipped bits: what was written is everywhere, and nothing else"):
            for round in range(20):
                lab.exchange(peers, f"round{round}")
            for peer in peers:
                peer.ask("fill", "k", "200", "50")
            lab.agree(peers, entries=entries(peers, 201))
        with report.check("flipped bits: the packets were dropped and counted"):
            assert lab.wire.flipped > 50, lab.wire.flipped
            counted = sum(peer.ask("metrics")[f"dropped_{cause}"] for peer in peers for cause in ("checksum", "malformed", "version", "cluster"))
            lab.figure(f"flipped: {lab.wire.flipped} of {lab.wire.passed} packets were changed, {counted} counted as such")
            assert counted > lab.wire.flipped / 2, f"{counted} of {lab.wire.flipped}"
        with report.check("flipped bits: nobody is held dead, nobody else is known"):
            nobody("dead", peers, {peer.id for peer in peers})
            known = {member["id"] for peer in peers for member in peer.ask("departed")}
            assert known == {peer.id for peer in peers}, known
        return lab


def small_packets(report):
    """The way takes packets of 576 bytes, the least that every IPv4 host must take (RFC 791)."""
    mtu = 576
    # Headers of IPv4 and UDP.
    with Lab("small", 5, max_packet=str(mtu - 28)) as lab:
        for host in lab.hosts:
            lab.ip(lab.namespace(host), f"link set eth0 mtu {mtu}")
        peers = lab.open_all()
        with report.check("packets of 576 bytes: small and large values are everywhere"):
            for peer in peers:
                peer.ask("fill", "k", "300", "400")
            peers[1].ask("set_large", "large", str(2_000_000))
            lab.agree(peers, entries={**entries(peers, 300), peers[1].id: 301})
        with report.check("packets of 576 bytes: none was sent in fragments"):
            for host in lab.hosts:
                counters = subprocess.run([*lab.within(host), "cat", "/proc/net/snmp"], stdout=subprocess.PIPE, text=True, check=True).stdout
                names, values = re.findall(r"^Ip: (.*)$", counters, re.M)
                made = dict(zip(names.split(), values.split()))["FragCreates"]
                assert made == "0", f"host {host}: {made}"
        return lab


def much(report):
    """A member has 100 MB, in 100,000 entries; members come that lack them, while another changes small things."""
    with Lab("much", 5) as lab:
        peers = lab.open_all(3)
        rich, writer = peers[0], peers[1]
        with report.check("100 MB: all have them"):
            since = time.monotonic()
            rich.ask("fill", "k", "100000", "1000")
            until("all have them", lambda: all(peer.ask("holds", rich.id)[0] == 100_000 for peer in peers))
            lab.figure(f"100 MB are at two others {words(time.monotonic() - since)} after the first of them was set")
        with report.check("100 MB: two newcomers at once have them, and small changes do not wait for that"):
            since = time.monotonic()
            newcomers = [lab.open(host) for host in (4, 5)]
            slowest, rounds = 0.0, 0
            while any(peer.ask("holds", rich.id)[0] < 100_000 for peer in newcomers):
                assert time.monotonic() - since < 60, "not all of 100 MB within a minute"
                rounds += 1
                changed = time.monotonic()
                writer.ask("set", "small", str(rounds))
                until("the small change is there", lambda: peers[2].ask("get", writer.id, "small") == str(rounds))
                slowest = max(slowest, time.monotonic() - changed)
            lab.figure(f"100 MB are at two newcomers {words(time.monotonic() - since)} after their start; meanwhile {rounds} small changes, "
                       f"the slowest seen after {slowest * 1000:.0f} ms")
            lab.agree(lab.running())
        return lab


def hot(report):
    """Two members change a key each 10,000 times a second, while a third changes something now and then."""
    with Lab("hot", 6) as lab:
        peers = lab.open_all()
        hertz, seconds = 10_000, 5
        last = {}
        sent = sum(peer.ask("metrics")["datagram_bytes_sent"] for peer in peers)
        threads = [threading.Thread(target=lambda peer=peer: last.update({peer.id: peer.ask("hot", "hot", str(hertz), str(seconds))}))
                   for peer in peers[:2]]
        for thread in threads:
            thread.start()
        with report.check("hot keys: a change of another member is seen at once"):
            slowest, rounds = 0.0, 0
            while any(thread.is_alive() for thread in threads):
                rounds += 1
                changed = time.monotonic()
                peers[2].ask("set", "small", str(rounds))
                until("it is there", lambda: peers[3].ask("get", peers[2].id, "small") == str(rounds))
                slowest = max(slowest, time.monotonic() - changed)
                time.sleep(0.05)
        for thread in threads:
            thread.join()
        with report.check("hot keys: all have the last value"):
            wanted = f"{hertz * seconds - 1}"
            assert len(last) == 2 and all(wanted in value for value in last.values()), last
            until("all have it", lambda: all(reader.ask("get", writer.id, "hot") == wanted for reader in peers for writer in peers[:2]))
            sent = sum(peer.ask("metrics")["datagram_bytes_sent"] for peer in peers) - sent
            lab.figure(f"hot: two keys {hertz:,} times a second for {seconds} s; {rounds} changes of another, the slowest seen after "
                       f"{slowest * 1000:.0f} ms; {sent / len(peers) / seconds / 1000:,.0f} kB/s sent by a member")
        with report.check("hot keys: nobody is held dead"):
            nobody("dead", peers, {peer.id for peer in peers})
        return lab


def deleted(report):
    """Both halves of a split cluster delete, and have forgotten that they did when it is whole again."""
    grace = 2
    with Lab("deleted", 6, tombstone_grace=f"{grace}s") as lab:
        peers = lab.open_all()
        halves = [[peer for peer in peers if peer.host % 2 == half] for half in (0, 1)]
        for peer in peers:
            peer.ask("fill", "gone", "100", "50")
            peer.ask("fill", "kept", "20", "50")
        lab.agree(peers, entries=entries(peers, 120))
        since = time.monotonic()
        lab.split()
        with report.check("each half deletes, and forgets that it did"):
            until("each half holds the other dead", lambda: all(peer.told("dead", other.id, since)
                  for here, there in (halves, halves[::-1]) for peer in here for other in there))
            before = {peer.id: peer.ask("metrics")["tombstone_collections"] for peer in peers}
            for peer in peers:
                assert peer.ask("clear", "gone") == 100
            for half in halves:
                lab.agree(half, entries=entries(half, 20))
            until("tombstones are collected", lambda: all(peer.ask("metrics")["tombstone_collections"] > before[peer.id] for peer in peers))
        with report.check("the cluster is whole: nothing that was deleted is there again"):
            back = time.monotonic()
            lab.join()
            lab.whole(90)
            lab.agree(peers, entries=entries(peers, 20))
            lab.figure(f"deleted: whole and equal {words(time.monotonic() - back)} after it was healed")
            # Exchanges of all kinds have had their turn.
            time.sleep(2 * grace)
            lab.agree(peers, entries=entries(peers, 20))
        return lab


def restarted(report):
    """A member with 2,000 entries is killed and comes back under its id with other ones, many times, while packets get lost."""
    with Lab("restart", 4, wire=True) as lab:
        peers = lab.open_all()
        lab.wire.loss = 0.1
        with report.check("restarts under one id, 10 % loss: of the former life nothing is left"):
            for life in range(5):
                one = lab.peers["h4"]
                one.ask("fill", f"life{life}-", "2000", "100")
                if life == 4:
                    break
                if life % 2:
                    # Not always with all of it at the others.
                    lab.agree(lab.running(), entries={**entries(peers, 0), "h4": 2000})
                one.kill()
                lab.open(4, seeds=f"{lab.address(1)}:{PORT}")
            others = [peer for peer in lab.running() if peer.id != "h4"]
            lab.agree(lab.running(), entries={**entries(others, 0), "h4": 2000})
            assert all(peer.ask("get", "h4", "life4-1999") == 100 for peer in others)
        with report.check("restarts under one id: members are whole"):
            lab.wire.loss = 0.0
            lab.whole()
        return lab


ALL = [losing, flipped, small_packets, much, hot, deleted, restarted]
