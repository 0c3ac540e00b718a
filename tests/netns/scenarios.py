"""What is played in the labs, each in one of its own (README.md). Limits are generous: figures are printed, not tested."""

import time

from harness import until
from lab import PORT, Lab

# For negatives, "that does not happen": so long is looked for it.
QUIET_SECONDS = 5


def words(seconds):
    return f"{seconds:.2f} s"


def span(times):
    return f"after {times[0]:.2f} to {times[1]:.2f} s"


def at_most(seconds, holds):
    """`holds` holds all the time, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        problem = holds()
        assert not problem, problem
        time.sleep(0.05)


def nobody(word, peers, of, since=0.0):
    """None of these peers was told that of any of those members."""
    told = {peer.id: [(event["member"]["id"], event["at"]) for event in peer.told(word, since=since) if event["member"]["id"] in of]
            for peer in peers}
    told = {peer: events for peer, events in told.items() if events}
    assert not told, f"told {word}: {told}"


def usage(peers):
    return {peer.id: peer.usage() for peer in peers}


def flat(report, lab, peers, before):
    """Of those that ran through: no descriptor or thread more than before the faults, hardly more memory."""
    with report.check("memory, descriptors and threads are as before the faults"):
        def more():
            now = usage(peers)
            return {one: (before[one], now[one]) for one in now
                    if now[one]["fds"] > before[one]["fds"] or now[one]["threads"] > before[one]["threads"]
                    or now[one]["rss_kib"] > before[one]["rss_kib"] + 4096}
        # Connections are kept for a while after their last message.
        try:
            until("no more is used than before", lambda: not more())
        except AssertionError as error:
            raise AssertionError(f"{error}: {more()}") from None
        now = usage(peers)
        lab.figure("resident memory KiB " + ", ".join(f"{one} {before[one]['rss_kib']} → {now[one]['rss_kib']}" for one in now))


def cut(report):
    """A host's cable is cut, and comes back."""
    with Lab("cut", 7) as lab:
        peers = lab.open_all()
        lone, others = peers[4], peers[:4] + peers[5:]
        lab.exchange(peers, "before")
        before = usage(peers)
        with report.check("a host that is cut off is dead at all others, as silent"):
            since = time.monotonic()
            lab.unplug(5)
            lab.figure(f"cut off: dead at all others {span(lab.all_hold('dead', lone.id, others))}")
            reasons = lab.held_dead(lone.id, since)
            assert reasons == {"neither the process nor its host answers"}, reasons
        with report.check("they go on among themselves, and it holds all others dead"):
            lab.exchange(others, "meanwhile")
            lone.ask("set", "alone", "yes")
            until("the lone one holds all dead", lambda: all(lone.holds(peer.id) == "dead" for peer in others))
        with report.check("the cable is back: all is whole, and what either side wrote is everywhere"):
            back = time.monotonic()
            lab.plug(5)
            lab.figure(f"cut off: whole {words(lab.whole() - back)} after the cable is back")
            for peer in others:
                until(f"{peer.id} reads what the lone one wrote", lambda: peer.ask("get", lone.id, "alone") == "yes")
                until(f"the lone one reads what {peer.id} wrote", lambda: lone.ask("get", peer.id, "mark") == "meanwhile")
            nobody("dead", others, {peer.id for peer in others}, since)
        flat(report, lab, peers, before)
        return lab


def partition(report):
    """The switch is split for so long that each half has declared the other dead, and removed it."""
    with Lab("partition", 8, departed_grace="6s") as lab:
        peers = lab.open_all()
        halves = [[peer for peer in peers if peer.host % 2 == half] for half in (0, 1)]
        lab.exchange(peers, "before")
        before = usage(peers)
        since = time.monotonic()
        with report.check("each half holds the other dead"):
            lab.split()
            until("all of the other half are dead", lambda: all(peer.told("dead", other.id, since)
                  for here, there in (halves, halves[::-1]) for peer in here for other in there))
            lab.figure(f"partition of 4 and 4: all dead at all of the other half {words(time.monotonic() - since)} after it")
        with report.check("each half goes on, and removes the other's members"):
            for mark, half in zip(("even", "odd"), halves):
                lab.exchange(half, mark)
            until("the other half is removed", lambda: all(peer.told("removed", other.id, since)
                  for here, there in (halves, halves[::-1]) for peer in here for other in there))
        with report.check("it heals by itself: members and states of both halves are everywhere"):
            back = time.monotonic()
            lab.join()
            lab.figure(f"partition: whole {words(lab.whole(90) - back)} after it was healed")
            for mark, half in zip(("even", "odd"), halves):
                for writer in half:
                    for reader in peers:
                        until(f"{reader.id} reads what {writer.id} wrote", lambda: reader.ask("get", writer.id, "mark") == mark)
        with report.check("nobody was ever told that one of the own half was dead"):
            for half in halves:
                nobody("dead", half, {peer.id for peer in half})
        flat(report, lab, peers, before)
        return lab


def one_way(report):
    """Packets pass one way only."""
    with Lab("oneway", 6) as lab:
        peers = lab.open_all()
        ids = {peer.id for peer in peers}
        before = usage(peers)
        with report.check("a member that cannot hear one other: nobody is held dead"):
            since = time.monotonic()
            lab.block_to(3, f"ip saddr {lab.address(4)}")
            at_most(12, lambda: any(peer.told("dead", since=since) for peer in peers) and "held dead")
            assert not any(peer.told("dead", since=since) for peer in peers)
            lab.figure("one-way between two: suspicions " + str(sum(len(peer.told("suspected", since=since)) for peer in peers)))
            lab.exchange(peers, "pair")
            lab.unblock(3)
        with report.check("a member whom nobody hears, but who hears all: dead at all others, and it alone"):
            mute, others = peers[4], peers[:4] + peers[5:]
            since = time.monotonic()
            lab.block_from(5, "meta protocol ip")
            lab.figure(f"heard by nobody: dead at all others {span(lab.all_hold('dead', mute.id, others))}")
            at_most(QUIET_SECONDS, lambda: "")
            nobody("dead", others, ids - {mute.id}, since)
        with report.check("it is heard again: all is whole"):
            back = time.monotonic()
            lab.unblock(5)
            lab.figure(f"heard by nobody: whole {words(lab.whole() - back)} after it can be heard")
            lab.exchange(peers, "after")
        flat(report, lab, peers, before)
        return lab


def loss(report):
    """30 % of the packets are lost for 30 s, then 20 % for 20 s, with up to 200 ms of delay."""
    with Lab("loss", 8, wire=True) as lab:
        peers = lab.open_all()
        since = time.monotonic()
        for lost, jitter, seconds in ((0.3, 0.0, 30), (0.2, 0.2, 20)):
            name = f"{lost:.0%} lost" + (f", up to {jitter * 1000:.0f} ms of delay" if jitter else "")
            lab.say(f"--- {name}")
            lab.wire.loss, lab.wire.jitter = lost, jitter
            with report.check(f"{name}: state changes arrive"):
                end, slowest, rounds = time.monotonic() + seconds, 0.0, 0
                while time.monotonic() < end or not rounds:
                    rounds += 1
                    slowest = max(slowest, lab.exchange(peers, f"{name}{rounds}".replace(" ", "")))
                    time.sleep(0.5)
                lab.figure(f"{name}: each wrote and all read {rounds} times, the slowest in {words(slowest)}; suspicions "
                           f"{sum(len(peer.told('suspected', since=since)) for peer in peers)}; lost {lab.wire.lost} of {lab.wire.lost + lab.wire.passed} packets")
            with report.check(f"{name}: nobody is held dead"):
                nobody("dead", peers, {peer.id for peer in peers})
        with report.check("nothing is lost any more: all is whole"):
            lab.wire.loss = lab.wire.jitter = 0.0
            lab.whole()
            lab.exchange(peers, "after")
        return lab


def udp_blocked(report):
    """A firewall lets TCP through to and from a host, but not UDP."""
    with Lab("udp", 6) as lab:
        # One of the hosts is for a newcomer.
        peers = lab.open_all(5)
        there, others = peers[3], peers[:3] + peers[4:]
        before = usage(peers)
        with report.check("UDP is blocked, TCP open: a warning says so in words"):
            since = time.monotonic()
            lab.block_from(4, "meta l4proto udp")
            lab.block_to(4, "meta l4proto udp")
            says = "accepts TCP connections but answers no UDP packet"
            until("a warning", lambda: any(peer.texts("warning", says, since) for peer in others))
            lab.figure(f"UDP blocked: warned of {words(time.monotonic() - since)} after it")
            until("a warning on the other side too", lambda: there.texts("warning", says, since))
        with report.check("a newcomer that has it as its seed is told that UDP is blocked"):
            newcomer = lab.open(6, seeds=f"{lab.address(4)}:{PORT}")
            until("a warning", lambda: newcomer.texts("warning", "UDP is blocked on the way"))
        with report.check("it is dead as stalled, not sooner than a stopped process would be"):
            first, last = lab.all_hold("dead", there.id, others)
            died = min(peer.told("dead", there.id, since)[0]["at"] for peer in others) - since
            lab.figure(f"UDP blocked: dead at the first {words(died)} after it, at the last {words(last - first)} later")
            assert died >= 14, f"held dead {died:.1f} s after UDP was blocked"
            reasons = lab.held_dead(there.id, since)
            assert reasons == {"its host accepts connections, but the process does not answer"}, reasons
            nobody("dead", others, {peer.id for peer in others})
        with report.check("UDP is open again: all is whole"):
            back = time.monotonic()
            lab.unblock(4)
            lab.figure(f"UDP blocked: whole, with the newcomer, {words(lab.whole() - back)} after it is open")
            lab.exchange(lab.running(), "after")
        flat(report, lab, peers, before)
        return lab


def tcp_blocked(report):
    """A firewall lets UDP through to and from a host, but not TCP."""
    with Lab("tcp", 5) as lab:
        peers = lab.open_all()
        writer, there = peers[0], peers[3]
        with report.check("TCP is blocked, UDP open: small changes arrive, and nobody is suspected for it"):
            since = time.monotonic()
            lab.block_from(4, "meta l4proto tcp")
            lab.block_to(4, "meta l4proto tcp")
            lab.exchange(peers, "small")
        with report.check("a large value does not arrive, and a warning says why in words"):
            writer.ask("set_large", "large", "1000000")
            for peer in peers[1:3] + peers[4:]:
                until(f"{peer.id} has it", lambda: peer.ask("get", writer.id, "large") == 1_000_000)
            says = "answers UDP packets but can not be reached by TCP"
            until("a warning", lambda: any(peer.texts("warning", says, since) for peer in peers))
            lab.figure(f"TCP blocked: warned of {words(time.monotonic() - since)} after it")
            assert there.ask("get", writer.id, "large") is None
            nobody("dead", peers, {peer.id for peer in peers})
            lab.figure("TCP blocked: suspicions " + str(sum(len(peer.told("suspected", since=since)) for peer in peers)))
        with report.check("TCP is open again: it arrives"):
            back = time.monotonic()
            lab.unblock(4)
            until("the large value arrives", lambda: there.ask("get", writer.id, "large") == 1_000_000)
            lab.figure(f"TCP blocked: the large value is there {words(time.monotonic() - back)} after it is open")
            lab.whole()
        return lab


def stopped(report):
    """A process is stopped for 8 s, another for 20 s."""
    with Lab("stop", 7) as lab:
        peers = lab.open_all()
        short, long, others = peers[3], peers[4], peers[:3] + peers[5:]
        before = usage(peers)
        since = time.monotonic()
        lab.say("--- h4 is stopped for 8 s, h5 for 20 s")
        short.stop()
        long.stop()
        try:
            with report.check("a process stopped for 8 s is not held dead, and holds nobody dead"):
                time.sleep(since + 8 - time.monotonic())
                short.go_on()
                back = time.monotonic()
                until("it is alive at all", lambda: all(peer.holds(short.id) == "alive" for peer in others))
                lab.figure(f"stopped for 8 s: alive at all {words(time.monotonic() - back)} after it goes on")
                nobody("dead", others, {short.id})
            with report.check("a process stopped for 20 s is held dead, as stalled"):
                lab.all_hold("dead", long.id, others)
                died = [peer.told("dead", long.id, since)[0]["at"] - since for peer in others]
                lab.figure(f"stopped for 20 s: dead at all others {span((min(died), max(died)))}")
                assert min(died) >= 14, f"held dead {min(died):.1f} s after it was stopped"
                reasons = lab.held_dead(long.id, since)
                assert reasons == {"its host accepts connections, but the process does not answer"}, reasons
                time.sleep(max(0, since + 20 - time.monotonic()))
        finally:
            short.go_on()
            long.go_on()
        with report.check("it goes on: all is whole"):
            back = time.monotonic()
            lab.figure(f"stopped for 20 s: whole {words(lab.whole() - back)} after it goes on")
            lab.exchange(peers, "after")
        with report.check("nobody who was not stopped was held dead by anyone"):
            nobody("dead", peers, {peer.id for peer in others} | {short.id})
        flat(report, lab, peers, before)
        return lab


def killed(report):
    """A process is killed and started again: later, at once, under another id; another host starts one with its id."""
    with Lab("kill", 7) as lab:
        peers = lab.open_all()[:6]
        # Its host is for the second process of an id.
        lab.peers["h7"].kill()
        del lab.peers["h7"]
        others, last = peers[:5], peers[5]
        with report.check("a process that is killed is dead at all others, its host refusing connections"):
            until("h7 is dead", lambda: all(peer.holds("h7") == "dead" for peer in peers))
            last.ask("set", "life", "first")
            for peer in others:
                until(f"{peer.id} reads it", lambda: peer.ask("get", last.id, "life") == "first")
            before = usage(others)
            since = time.monotonic()
            last.kill()
            lab.figure(f"killed: dead at all others {span(lab.all_hold('dead', last.id, others))}")
            reasons = lab.held_dead(last.id, since)
            assert reasons == {"its host refuses connections: the process is gone"}, reasons
        with report.check("started again under its id: it is told as restarted, and its former life is gone"):
            since = time.monotonic()
            last = lab.open(6)
            until("all are told", lambda: all(peer.told("restarted", last.id, since) for peer in others))
            lab.figure(f"started again: known to all {words(time.monotonic() - since)} after it was started")
            lab.whole()
            for peer in others:
                lives = [member for member in peer.ask("departed") if member["id"] == last.id]
                assert [life["status"] for life in lives] == ["alive"], lives
                assert peer.ask("get", last.id, "life") is None
        with report.check("killed and started again at once: the new life replaces the former one"):
            since = time.monotonic()
            last.kill()
            last = lab.open(6)
            until("all are told", lambda: all(peer.told("restarted", last.id, since) for peer in others))
            lab.figure(f"killed and started at once: known to all {words(time.monotonic() - since)} after it was killed; told dead before "
                       f"at {sum(bool(peer.told('dead', last.id, since)) for peer in others)} of {len(others)}")
            lab.whole()
            lab.exchange(lab.running(), "third")
        with report.check("killed and started at once under another id at the same address: the former member is dead, since another has its address"):
            since = time.monotonic()
            last.kill()
            stranger = lab.open(6, "stranger")
            opened = time.monotonic()
            # Dead, or gone at once: the newcomer at its address ends its grace.
            gone = lambda: all(peer.holds(last.id) in ("dead", None) for peer in others)
            until(f"{last.id} is dead or gone at all others", gone)
            lab.figure(f"another process at its address: dead at all {words(time.monotonic() - since)} after it was killed")
            lab.whole()
            reasons = lab.held_dead(last.id, since)
            # Where it took long to start, the gap has been seen.
            sooner = any(event["at"] < opened for peer in others for event in peer.told("dead", last.id, since))
            assert reasons == {"another process has its address"} or sooner, reasons
            for peer in others:
                there = peer.view[stranger.id]["address"]
                assert peer.view.get(last.id, {"address": there})["address"] == there
        with report.check("two processes with one id: the earlier one is told id_taken and stops writing"):
            since = time.monotonic()
            first = peers[2]
            watchers = [peer for peer in lab.running() if peer is not first]
            twin = lab.open(7, first.id)
            until("the earlier one fails", lambda: first.told("state", since=since) and first.ask("state") == "failed")
            assert first.texts("warning", "has been taken over by a later process", since), first.told("warning", since=since)
            until("all know the later one", lambda: all(peer.view[first.id]["address"] == f"{lab.address(7)}:{PORT}" for peer in watchers))
            lab.figure(f"two with one id: settled {words(time.monotonic() - since)} after the second was started")
            refused = first.refuses("set", "life", "second")
            assert "id" in refused and refused, refused
        with report.check("nothing flaps, and the later one is a member like any"):
            settled = time.monotonic()
            at_most(QUIET_SECONDS, lambda: [event for peer in watchers for word in ("suspected", "dead", "restarted", "left", "joined", "alive") for event in peer.told(word, first.id, settled)])
            assert all(len(peer.told("restarted", first.id, since)) == 1 for peer in watchers)
            first.kill()
            lab.exchange([twin, *watchers], "twin")
        flat(report, lab, [peer for peer in others if peer is not first], before)
        return lab


def moved(report):
    """A host gets another address."""
    with Lab("move", 5) as lab:
        peers = lab.open_all()
        mover, others = peers[3], peers[:3] + peers[4:]
        before = usage(peers)
        with report.check("a host gets another address: all others know it there"):
            since = time.monotonic()
            lab.move(4, "10.0.0.44")
            until("all know the new address", lambda: all(peer.view[mover.id]["address"] == f"10.0.0.44:{PORT}" for peer in others))
            lab.figure(f"another address: known to all {words(time.monotonic() - since)} after it; told dead before at "
                       f"{sum(bool(peer.told('dead', mover.id, since)) for peer in others)} of {len(others)}")
            lab.whole()
            lab.exchange(peers, "moved")
        with report.check("it is alive there, and stays so; it holds nobody dead for not having heard them"):
            settled = time.monotonic()
            at_most(QUIET_SECONDS, lambda: [event for peer in peers for event in peer.told("dead", since=settled)])
            nobody("dead", [mover], {peer.id for peer in others})
            lab.whole()
        flat(report, lab, peers, before)
        return lab


def late(report):
    """Seeds that are not there yet."""
    with Lab("late", 4) as lab:
        lab.unplug(4)
        seeds = {1: 3, 2: 4, 3: 1, 4: 3}
        start = {host: (lambda host=host: lab.open(host, seeds=f"{lab.address(seeds[host])}:{PORT}")) for host in lab.hosts}
        first, second = start[1](), start[2]()
        with report.check("nobody listens at the seed, the seed's host is not there: a warning says which, and when it is tried next"):
            for peer, says in ((first, "no process listens there"), (second, "the host is not there")):
                until(f"{peer.id} is told", lambda: [text for text in peer.texts("warning", says) if "next in" in text])
                assert peer.ask("state") == "starting"
        with report.check("the one seed is started, the other's host comes back with it: all find each other"):
            since = time.monotonic()
            third = start[3]()
            until("the first has joined", lambda: first.holds(third.id) == "alive")
            lab.figure(f"seeds that come late: joined {words(time.monotonic() - since)} after the seed was started")
            lab.plug(4)
            start[4]()
            lab.whole()
            lab.exchange(lab.running(), "all")
        return lab


def names(report):
    """Seeds by a DNS name, whose answers change."""
    with Lab("dns", 6, seeds=f"seeds.example:{PORT}", seed_interval="2s") as lab:
        answers = lab.name_server()
        answers("seeds.example")
        first = [lab.open(host) for host in (1, 2, 3)]
        with report.check("a name that does not exist: the node says so, and goes on trying"):
            says = f"seeds.example:{PORT} can not be looked up"
            until("it says so", lambda: all(peer.texts("log", says) for peer in first))
            assert all(peer.ask("state") == "starting" for peer in first)
        with report.check("the name gets an answer: they find each other"):
            since = time.monotonic()
            answers("seeds.example", 1)
            lab.figure(f"DNS: three found each other {words(lab.whole(peers=first) - since)} after the name had an answer")
        with report.check("another answer, where others start: they look it up again, and the two become one cluster"):
            since = time.monotonic()
            answers("seeds.example", 4)
            second = [lab.open(host) for host in (4, 5, 6)]
            lab.figure(f"DNS: one cluster {words(lab.whole() - since)} after the name had another answer")
            lab.exchange(first + second, "one")
        with report.check("the seeds are gone and the name points to others: newcomers join there"):
            for host in (1, 4):
                lab.peers[f"h{host}"].kill()
                del lab.peers[f"h{host}"]
            answers("seeds.example", 2)
            newcomer = lab.open(4, "newcomer")
            lab.whole()
            lab.exchange([*lab.running()], "moved")
            assert newcomer.ask("state") == "joined"
        return lab


def forgotten(report):
    """Both halves of a split cluster have forgotten the other's members for good: only the name of the seeds is left."""
    with Lab("forgot", 4, seeds=f"seeds.example:{PORT}", seed_interval="2s", departed_grace="2s", departed_record="2s") as lab:
        answers = lab.name_server()
        answers("seeds.example", 1)
        peers = [lab.open(host) for host in lab.hosts]
        lab.whole()
        halves = [[peer for peer in peers if peer.host % 2 == half] for half in (0, 1)]
        with report.check("each half declares the other dead, removes and forgets it"):
            since = time.monotonic()
            lab.split()
            until("the other half is removed", lambda: all(peer.told("removed", other.id, since)
                  for here, there in (halves, halves[::-1]) for peer in here for other in there))
            # The memory of a departed member ends a while after its state.
            at_most(4, lambda: "")
        with report.check("the network is whole, and the name has another answer in the other half: they become one cluster"):
            back = time.monotonic()
            answers("seeds.example", 2)
            lab.join()
            lab.figure(f"forgotten halves: one cluster {words(lab.whole() - back)} after the network was whole")
            lab.exchange(peers, "one")
        return lab


ALL = [cut, partition, one_way, loss, udp_blocked, tcp_blocked, stopped, killed, moved, late, names, forgotten]
