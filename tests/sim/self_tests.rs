//! Each checker is fed what it must report, and something like it that is right.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::store::entry::{Entry, EntryHead, Life, LifeRef, MemberId, Origin, TypeUrl};
use cluster_gossip::store::event::{EntryView, Event, kind};
use cluster_gossip::store::members::{Contact, MemberStatus, MemberView};
use cluster_gossip::store::{NodeState, Store, Waker};
use cluster_gossip::time::Time;

use crate::sim::membership::{self, Bounds, Flaps, View};
use crate::sim::oracle::Oracle;
use crate::sim::run::at_rest;
use crate::sim::subscriber::{Change, Subscriber};
use crate::sim::{Network, START, bans, check, pool};

const SECOND: Duration = Duration::from_secs(1);

fn fails<T: std::fmt::Debug>(result: Result<T, String>, word: &str) {
    let error = result.expect_err("the violation must be reported");
    assert!(error.starts_with(word), "{error:?} is not of {word:?}");
}

fn life(id: &str, nonce: u64) -> LifeRef {
    LifeRef::new(Life { id: MemberId::new(id).expect("an id"), generation: 1, nonce })
}

fn entry(life: &LifeRef, key: &str, seq: u64, value: Option<&[u8]>) -> Entry {
    let head = EntryHead {
        life: life.clone(),
        type_url: TypeUrl::new(""),
        seq,
        received: START,
        origin: Origin::received(START),
        expires: Time::NEVER,
        key_len: key.len() as u8,
        deleted: value.is_none(),
        drained: AtomicBool::new(true),
    };
    Entry::new(head, key, value.unwrap_or(&[]))
}

fn event(kind: u32, entry: Option<Entry>, member: Option<MemberView>) -> Event {
    let entry = entry.map(|entry| EntryView { entry, status: MemberStatus::Alive, read_at: START });
    Event {
        kind,
        tag: 0,
        node: 0,
        sub: 0,
        conflated: 1,
        code: 0,
        text: None,
        target: None,
        entry,
        member,
        taken_at: START,
    }
}

fn view(life: &LifeRef, status: MemberStatus) -> MemberView {
    MemberView {
        contact: triomphe::Arc::new(Contact {
            life: life.clone(),
            address: ([10, 0, 0, 1], 1).into(),
            versions: (1, 1),
            tags: Arc::default(),
        }),
        status,
        since: START,
        rtt_us: None,
        is_self: false,
        banned: false,
    }
}

/// A subscriber that has been told that "a" joined, an owner that wrote k as 1, deleted it as 2 and set it as 3.
fn told() -> (Subscriber, Oracle, LifeRef) {
    let mut oracle = Oracle::default();
    oracle.born(7, "a", 0);
    oracle.wrote(START, 7, "k", 1, Some(b"one"), None);
    oracle.wrote(START, 7, "k", 2, None, None);
    oracle.wrote(START, 7, "k", 3, Some(b"three"), None);
    let mut subscriber = Subscriber::default();
    let life = life("a", 7);
    let joined = event(kind::MEMBER_JOINED, None, Some(view(&life, MemberStatus::Alive)));
    subscriber.check(&joined, &oracle, START).expect("it may join");
    (subscriber, oracle, life)
}

fn set(life: &LifeRef, seq: u64, value: &[u8]) -> Event {
    event(kind::ENTRY_CHANGED, Some(entry(life, "k", seq, Some(value))), None)
}

fn deleted(life: &LifeRef, seq: u64) -> Event {
    event(kind::ENTRY_DELETED, Some(entry(life, "k", seq, None)), None)
}

#[test]
fn an_older_event_after_a_newer_one_is_reported() {
    let (mut subscriber, oracle, life) = told();
    subscriber.check(&set(&life, 1, b"one"), &oracle, START).expect("the first");
    subscriber.check(&deleted(&life, 2), &oracle, START).expect("a delete after it");
    subscriber.check(&set(&life, 3, b"three"), &oracle, START).expect("a set after that");
    fails(subscriber.check(&deleted(&life, 2), &oracle, START), "order");
    fails(subscriber.check(&set(&life, 3, b"three"), &oracle, START), "order");
}

#[test]
fn what_was_deleted_and_comes_back_is_reported() {
    let (mut subscriber, oracle, life) = told();
    subscriber.check(&deleted(&life, 2), &oracle, START).expect("a delete that it heard of first");
    fails(subscriber.check(&set(&life, 1, b"one"), &oracle, START), "resurrection");
}

#[test]
fn what_no_owner_wrote_is_reported() {
    let (mut subscriber, oracle, life) = told();
    fails(subscriber.check(&set(&life, 3, b"thrEe"), &oracle, START), "resurrection");
    fails(subscriber.check(&set(&life, 9, b"nine"), &oracle, START), "resurrection");
    // Its last write neither is deleted nor expires: nobody may be told that it is gone.
    fails(subscriber.check(&deleted(&life, 3), &oracle, START), "resurrection");
    subscriber.check(&set(&life, 3, b"three"), &oracle, START).expect("that is what it wrote");
}

#[test]
fn a_delete_of_what_was_only_overwritten_is_reported() {
    let (mut subscriber, mut oracle, life) = told();
    oracle.wrote(START, 7, "k", 4, Some(b"four"), None);
    subscriber.check(&set(&life, 3, b"three"), &oracle, START).expect("as it was written");
    fails(subscriber.check(&deleted(&life, 3), &oracle, START), "resurrection");
    oracle.limits_differ = true;
    oracle.has(&entry(&life, "k", 3, None), START).expect("the next may have been refused");
    oracle.limits_differ = false;
    oracle.wrote(START, 7, "k", 5, None, None);
    subscriber.check(&deleted(&life, 3), &oracle, START).expect("it was deleted later, and that was collected");
    oracle.wrote(START, 7, "k", 6, Some(b"six"), Some(SECOND));
    fails(subscriber.check(&deleted(&life, 6), &oracle, START), "resurrection");
    subscriber.check(&deleted(&life, 6), &oracle, START + SECOND).expect("it has expired");
}

#[test]
fn an_age_or_a_time_to_live_that_began_anew_is_reported() {
    let (_, mut oracle, life) = told();
    let late = START + 100 * SECOND;
    oracle.wrote(START, 7, "ttl", 4, Some(b"t"), Some(200 * SECOND));
    let seen = |written, expires, seq| {
        let first = entry(&life, if seq == 4 { "ttl" } else { "k" }, seq, Some(b"t"));
        let head = EntryHead {
            life: life.clone(),
            type_url: TypeUrl::new(""),
            origin: Origin::received(written),
            expires,
            drained: true.into(),
            ..*first.head()
        };
        oracle.timely(&Entry::new(head, first.key(), b"t"))
    };
    seen(START, Time::NEVER, 3).expect("as it was written");
    seen(START, START + 201 * SECOND, 4).expect("as it was written");
    assert!(seen(late, Time::NEVER, 3).is_err());
    assert!(seen(START, late + 200 * SECOND, 4).is_err());
    assert!(seen(START, Time::NEVER, 4).is_err());
}

#[test]
fn an_entry_before_its_member_and_a_second_joining_are_reported() {
    let (mut subscriber, mut oracle, life) = told();
    let joined = event(kind::MEMBER_JOINED, None, Some(view(&life, MemberStatus::Alive)));
    fails(subscriber.check(&joined, &oracle, START), "members");
    let other = self::life("b", 8);
    oracle.born(8, "b", 1);
    oracle.wrote(START, 8, "k", 1, Some(b"one"), None);
    fails(subscriber.check(&set(&other, 1, b"one"), &oracle, START), "order");
    let stranger = event(kind::MEMBER_JOINED, None, Some(view(&self::life("c", 9), MemberStatus::Alive)));
    fails(subscriber.check(&stranger, &oracle, START), "members");
}

#[test]
fn a_member_that_left_and_is_back_is_reported() {
    let (mut subscriber, oracle, life) = told();
    let left = event(kind::MEMBER_LEFT, None, Some(view(&life, MemberStatus::Left)));
    subscriber.check(&left, &oracle, START).expect("it may leave");
    let alive = event(kind::MEMBER_ALIVE, None, Some(view(&life, MemberStatus::Alive)));
    fails(subscriber.check(&alive, &oracle, START), "members");
    let removed = event(kind::MEMBER_REMOVED, None, Some(view(&life, MemberStatus::Left)));
    subscriber.check(&removed, &oracle, START).expect("its state may be forgotten");
    let joined = event(kind::MEMBER_JOINED, None, Some(view(&life, MemberStatus::Alive)));
    fails(subscriber.check(&joined, &oracle, START), "members");
}

struct Nobody;

impl Waker for Nobody {
    fn wake_engine(&self) {}
    fn progress(&self) {}
}

#[test]
fn a_picture_that_is_not_the_stores_is_reported() {
    let (mut subscriber, oracle, life) = told();
    let store = Store::new(1, self::life("me", 1), Arc::new(Settings::default()), Arc::new(Nobody));
    store.members.put(view(&life, MemberStatus::Alive));
    subscriber.mirror(&store, START, &BTreeSet::new()).expect("both are empty");
    store.apply(&entry(&life, "k", 1, Some(b"one")), START);
    fails(subscriber.mirror(&store, START, &BTreeSet::new()), "mirror");
    subscriber.check(&set(&life, 1, b"one"), &oracle, START).expect("the event");
    subscriber.mirror(&store, START, &BTreeSet::new()).expect("both have it");
    store.forget(&entry(&life, "k", 1, Some(b"one")));
    fails(subscriber.mirror(&store, START, &BTreeSet::new()), "mirror");
}

#[test]
fn an_end_that_is_not_told_is_reported() {
    let (mut subscriber, mut oracle, life) = told();
    oracle.wrote(START, 7, "k", 4, Some(b"t"), Some(SECOND));
    let first = entry(&life, "k", 4, Some(b"t"));
    let head = EntryHead {
        life: life.clone(),
        type_url: first.head().type_url.clone(),
        expires: START + SECOND,
        drained: true.into(),
        ..*first.head()
    };
    let seen = event(kind::ENTRY_CHANGED, Some(Entry::new(head, "k", b"t")), None);
    subscriber.check(&seen, &oracle, START).expect("as it was written");
    subscriber.ends(START + SECOND).expect("it is not over yet");
    fails(subscriber.ends(START + 2 * SECOND), "ends");
    subscriber.check(&deleted(&life, 4), &oracle, START + SECOND).expect("its end");
    subscriber.ends(START + 2 * SECOND).expect("it was told");
}

#[test]
fn a_value_that_does_not_spread_at_once_is_reported() {
    let mut world = at_rest(1, Network::default(), 8);
    check::at_once(&mut world, 3).expect("nothing holds it up");
    for other in (0..8).filter(|n| *n != 5) {
        world.cuts.one_way(other, 5);
    }
    fails(check::at_once(&mut world, 3), "slow: what m3 set has not reached m5");
}

#[test]
fn sizes_that_are_counted_wrongly_are_reported() {
    check::same_size("a", "of its own", (2, 30), (2, 30)).expect("the same");
    fails(check::same_size("a", "of its own", (2, 30), (3, 30)), "sizes");
    fails(check::same_size("a", "of its own", (2, 30), (2, 31)), "sizes");
    let mut world = at_rest(1, Network::default(), 3);
    world.set(0, "k", b"v", None);
    world.run(SECOND);
    check::sizes(&world).expect("all is counted");
    let kept = world.nodes[1].store.get(world.now, Some("m0"), "k", false).remove(0).entry;
    world.nodes[1].store.forget(&kept);
    fails(check::sizes(&world), "sizes");
}

#[test]
fn an_offset_beyond_what_the_target_holds_is_reported() {
    let table = |n: u64| HashMap::from([("b".to_owned(), HashMap::from([("c".to_owned(), n)]))]);
    let nothing = |_: &str, _: &str| false;
    check::compare_offsets("a", &table(5), &table(5), nothing).expect("it holds so much");
    fails(check::compare_offsets("a", &table(6), &table(5), nothing), "offsets");
    check::compare_offsets("a", &table(6), &table(5), |_, _| true).expect("passed over");
}

#[test]
fn a_lost_or_invented_own_entry_is_reported() {
    check::same_keys("a", &[("k", 3)], &[("k", 3)]).expect("the same");
    fails(check::same_keys("a", &[("k", 3)], &[]), "lost");
    fails(check::same_keys("a", &[("k", 3)], &[("k", 2)]), "lost");
    fails(check::same_keys("a", &[], &[("k", 2)]), "resurrection");
}

#[test]
fn a_queue_over_its_bound_is_reported() {
    check::bounded(5, 5, "events", "a").expect("within the bound");
    fails(check::bounded(6, 5, "events", "a"), "queues");
}

#[test]
fn a_difference_between_members_is_reported() {
    let mut world = at_rest(1, Network::default(), 3);
    assert_eq!(check::difference(&world), None);
    world.partition(&[2]);
    world.set(0, "k", b"v", None);
    world.run(SECOND);
    let difference = check::difference(&world).expect("one does not have it");
    assert!(difference.starts_with("convergence: m2 sees nothing more"), "{difference}");
}

#[test]
fn a_datagram_over_the_limit_and_a_storm_are_reported() {
    let mut world = at_rest(1, Network::default(), 3);
    check::order(&mut world).expect("nothing is wrong");
    // From now on the world holds less to be allowed than the engine was started with.
    let small = Settings { max_packet: 40, ..Settings::default() };
    world.nodes[1].settings = Arc::new(small);
    world.run(5 * SECOND);
    fails(check::order(&mut world), "packets");
    let mut world = at_rest(1, Network::default(), 3);
    world.most_datagrams = 0;
    world.traffic.datagrams += 20_000;
    world.run(SECOND);
    fails(check::order(&mut world), "storm");
}

#[test]
fn one_left_out_and_one_that_stays_are_reported() {
    let bounds = Bounds::default();
    let view = |lives, present, calm| View { observer: "a", subject: "b", lives, present, calm };
    membership::held_rightly(view(true, false, bounds.back), bounds).expect("there is time");
    fails(membership::held_rightly(view(true, false, bounds.back + SECOND), bounds), "left out");
    membership::held_rightly(view(true, true, bounds.back * 9), bounds).expect("it is there");
    fails(membership::held_rightly(view(false, true, bounds.gone + SECOND), bounds), "stays");
    membership::held_rightly(view(false, false, bounds.gone * 9), bounds).expect("it is gone");
}

#[test]
fn views_that_do_not_agree_are_reported() {
    let one = |nonce| BTreeSet::from([("x".to_owned(), nonce)]);
    membership::agree(&[("a".into(), one(1)), ("b".into(), one(1))]).expect("they agree");
    fails(membership::agree(&[("a".into(), one(1)), ("b".into(), one(2))]), "agreement");
    fails(membership::agree(&[("a".into(), one(1)), ("b".into(), BTreeSet::new())]), "agreement");
}

#[test]
fn a_status_that_flaps_is_reported() {
    let change = |kind| Change { at: START, id: "x".into(), nonce: 1, kind };
    let mut flaps = Flaps::default();
    for _ in 0..membership::ALARMS / 2 {
        let alarm = [change(kind::MEMBER_SUSPECTED), change(kind::MEMBER_ALIVE)];
        flaps.note(0, alarm, |_| 0).expect("others may be wrong now and then");
    }
    fails(flaps.note(0, [change(kind::MEMBER_SUSPECTED)], |_| 0), "flaps");
    let calls = [change(kind::MEMBER_DEAD), change(kind::MEMBER_UPDATED)];
    flaps.note(0, calls, |_| 1).expect("a fault makes two changes");
    fails(flaps.note(0, [change(kind::MEMBER_ALIVE)], |_| 1), "flaps");
}

/// The members that the world holds to live are those that [`membership::check`] asks for.
#[test]
fn the_worlds_views_are_judged() {
    let mut world = at_rest(2, Network::default(), 4);
    let bounds = Bounds { back: 3 * SECOND, gone: 3 * SECOND };
    world.run(10 * SECOND);
    membership::check(&world, bounds).expect("all are there");
    membership::agreement(&world).expect("all agree");
    let life = world.nodes[1].nonce;
    world.nodes[0].store.members.remove(life);
    fails(membership::check(&world, bounds), "left out");
    fails(membership::agreement(&world), "agreement");
}

/// An event of a member, one of `of` that were told as one.
fn of_member(kind: u32, life: &LifeRef, status: MemberStatus, of: u64) -> Event {
    Event { conflated: of, ..event(kind, None, Some(view(life, status))) }
}

#[test]
fn an_entry_of_a_banned_member_is_reported() {
    let (mut subscriber, oracle, life) = told();
    let mut tell = |event: Event| subscriber.check(&event, &oracle, START).and_then(|()| subscriber.taken());
    let banned = |of| of_member(kind::MEMBER_BANNED, &life, MemberStatus::Banned, of);
    tell(set(&life, 1, b"one")).expect("it is not banned");
    tell(banned(1)).expect("it may be banned");
    fails(tell(deleted(&life, 2)), "bans: an entry");
    // One that has ended stays banned.
    tell(of_member(kind::MEMBER_DEAD, &life, MemberStatus::Dead, 1)).expect("it may end");
    fails(tell(set(&life, 3, b"three")), "bans: an entry");
    tell(of_member(kind::MEMBER_UNBANNED, &life, MemberStatus::Dead, 1)).expect("the ban may be lifted");
    let (mut subscriber, oracle, life) = told();
    subscriber.check(&banned(1), &oracle, START).expect("it may be banned");
    subscriber.taken().expect("that is all");
    // The ban was lifted, the entry came, and before anything was taken the member was banned again.
    subscriber.check(&deleted(&life, 2), &oracle, START).expect("that is not said yet");
    subscriber.check(&banned(2), &oracle, START).expect("it may be banned again");
    subscriber.taken().expect("it came when the member was not banned");
    subscriber.check(&set(&life, 3, b"three"), &oracle, START).expect("that is not said yet");
    fails(subscriber.taken(), "bans: an entry");
}

#[test]
fn events_of_bans_that_do_not_follow_each_other_are_reported() {
    use MemberStatus::{Alive, Banned, Suspect};
    use kind::{MEMBER_BANNED as BANNED, MEMBER_SUSPECTED as SUSPECTED, MEMBER_UNBANNED as UNBANNED};
    let (mut subscriber, oracle, life) = told();
    let mut tell = |kind, status, of| subscriber.check(&of_member(kind, &life, status, of), &oracle, START);
    fails(tell(UNBANNED, Alive, 1), "bans: a is no longer banned, and was not");
    fails(tell(SUSPECTED, Banned, 1), "bans: a is banned by the event");
    fails(tell(BANNED, Alive, 1), "bans: a is banned, and alive");
    tell(SUSPECTED, Suspect, 1).expect("it may be suspected");
    tell(UNBANNED, Alive, 2).expect("a ban and its end, told as one");
    tell(BANNED, Banned, 1).expect("it may be banned");
    fails(tell(BANNED, Banned, 1), "bans: a was banned twice");
    fails(tell(UNBANNED, Banned, 1), "bans: a is no longer banned, and has that status");
    fails(tell(SUSPECTED, Suspect, 1), "bans: a is suspect by the event");
    tell(SUSPECTED, Banned, 1).expect("banned members are suspected too");
    tell(UNBANNED, Suspect, 1).expect("the ban may be lifted");
}

#[test]
fn a_picture_of_bans_that_is_not_the_nodes_is_reported() {
    let (mut subscriber, oracle, life) = told();
    let store = Store::new(1, self::life("me", 1), Arc::new(Settings::default()), Arc::new(Nobody));
    let of_a = BTreeSet::from(["a".to_owned()]);
    subscriber.mirror(&store, START, &BTreeSet::new()).expect("there is no ban");
    fails(subscriber.mirror(&store, START, &of_a), "bans: a is banned");
    subscriber.check(&set(&life, 1, b"one"), &oracle, START).expect("the event");
    let banned = of_member(kind::MEMBER_BANNED, &life, MemberStatus::Banned, 1);
    subscriber.check(&banned, &oracle, START).expect("it may be banned");
    subscriber.mirror(&store, START, &of_a).expect("what it has is hidden, whatever it is");
    fails(subscriber.mirror(&store, START, &BTreeSet::new()), "bans: a is not banned");
    // Its entry went meanwhile: that must be told when the ban is lifted.
    let lifted = of_member(kind::MEMBER_UNBANNED, &life, MemberStatus::Alive, 1);
    subscriber.check(&lifted, &oracle, START).expect("the ban may be lifted");
    fails(subscriber.mirror(&store, START, &BTreeSet::new()), "mirror");
    subscriber.check(&deleted(&life, 2), &oracle, START).expect("it is told");
    subscriber.mirror(&store, START, &BTreeSet::new()).expect("both have nothing");
}

#[test]
fn a_ban_that_is_not_heeded_is_reported() {
    let banned = bans::View {
        id: "a".into(),
        state: NodeState::Joined,
        banned: BTreeSet::from(["b".to_owned()]),
        members: vec![("a".into(), MemberStatus::Alive), ("b".into(), MemberStatus::Banned)],
        seen: BTreeSet::from(["a".to_owned()]),
        refuses: false,
    };
    bans::heeded(&banned).expect("b is hidden");
    let alive = bans::View { members: vec![("b".into(), MemberStatus::Alive)], ..banned.clone() };
    fails(bans::heeded(&alive), "bans: a ban of b stands");
    let gone = bans::View { members: vec![("b".into(), MemberStatus::Dead)], ..banned.clone() };
    bans::heeded(&gone).expect("it may end, banned or not");
    let lifted = bans::View { banned: BTreeSet::new(), ..banned.clone() };
    fails(bans::heeded(&lifted), "bans: b is banned at a, where no ban stands");
    let seen = bans::View { seen: BTreeSet::from(["b".to_owned()]), ..banned.clone() };
    fails(bans::heeded(&seen), "bans: entries of b");
    for (state, stands, refuses, right) in [
        (NodeState::Banned, true, true, true),
        (NodeState::Joined, true, true, false),
        (NodeState::Banned, true, false, false),
        (NodeState::Banned, false, true, false),
        (NodeState::Joined, false, true, false),
        (NodeState::Joined, false, false, true),
        (NodeState::Leaving, true, false, true),
    ] {
        let stands = if stands { BTreeSet::from(["a".to_owned()]) } else { BTreeSet::new() };
        let own =
            bans::View { state, banned: stands, members: Vec::new(), seen: BTreeSet::new(), refuses, ..banned.clone() };
        assert_eq!(bans::heeded(&own).is_ok(), right, "{own:?}");
    }
}

#[test]
fn bans_that_members_do_not_agree_about_are_reported() {
    let ban = bans::Ban { id: "x".into(), by: "a".into() };
    let by_another = bans::Ban { by: "b".into(), ..ban.clone() };
    let views = |other: &[bans::Ban]| [("a".to_owned(), vec![ban.clone()]), ("b".to_owned(), other.to_vec())];
    bans::agree(&views(std::slice::from_ref(&ban)), None).expect("they agree");
    bans::agree(&views(std::slice::from_ref(&ban)), Some(std::slice::from_ref(&ban))).expect("as they should");
    fails(bans::agree(&views(&[]), None), "bans");
    fails(bans::agree(&views(&[by_another]), None), "bans");
    fails(bans::agree(&views(std::slice::from_ref(&ban)), Some(&[])), "bans: [Ban");
}

/// The views that [`bans::check`] takes of a world, and what it has members do.
#[test]
fn the_worlds_bans_are_judged() {
    let mut world = at_rest(3, Network::default(), 4);
    bans::check(&world, Some(&[])).expect("nobody is banned");
    bans::ban(&mut world, 0, "m1");
    fails(bans::check(&world, None), "bans: ");
    let stands = [bans::Ban { id: "m1".into(), by: "m0".into() }];
    bans::until(&mut world, &stands).expect("all hear of it");
    assert_eq!(check::difference(&world), None, "who is banned takes part");
    world.run(60 * SECOND);
    membership::check(&world, Bounds { back: SECOND, gone: SECOND }).expect("who is banned is not left out");
    let banned = world.nodes[2].store.members.get(world.nodes[1].nonce).expect("it is there");
    world.nodes[2].store.members.put(MemberView { status: MemberStatus::Alive, ..banned });
    fails(bans::check(&world, Some(&stands)), "bans: a ban of m1 stands at m2");
    world.partition(&[3]);
    bans::unban(&mut world, 0, "m1");
    fails(bans::until(&mut world, &[]), "bans: ");
    bans::ban(&mut world, 1, "m1");
    fails(check::order(&mut world), "bans: m1 cannot ban m1");
}

#[test]
fn a_panic_in_a_run_is_a_failure_of_its_seed() {
    let outcome = pool::seeds(5, 4, 9, None, |seed| if seed == 6 { panic!("as asked") } else { Ok(seed) });
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!((outcome.failures[0].seed, outcome.failures[0].why.as_str()), (6, "panic: as asked"));
    assert_eq!(outcome.done, [(5, 5), (7, 7), (8, 8)]);
}

/// What fails once fails again, in the same way.
#[test]
fn a_seed_repeats_a_run_exactly() {
    let how = crate::sim::adversary::Adversary { members: 8, time: 20 * SECOND, faults: 20, ..Default::default() };
    let run = |seed| crate::sim::adversary::run(seed, &how).map(|report| (report.trace, report.datagrams));
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
