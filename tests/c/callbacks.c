/* Native callbacks: the destructor runs once and last, ending works inside them, and they may call back in. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

/* What a callback sees and does; shared between the node's thread and the test's. */
typedef struct seen {
    atomic_int calls, drops, calls_after_drop, inside, overlapped;
    atomic_int initial_done, closed, go_on;
    atomic_llong last;
    gossip_node node;
    atomic_ullong sub; /* its own, known after subscribing */
    atomic_int statuses[4];
} seen;

static void note(seen *s, const gossip_event *event) {
    int64_t value = 0;
    if (atomic_fetch_add(&s->inside, 1) != 0) atomic_store(&s->overlapped, 1);
    if (atomic_load(&s->drops) != 0) atomic_fetch_add(&s->calls_after_drop, 1);
    if (gossip_event_kind(event) == GOSSIP_EVENT_INITIAL_DONE) atomic_store(&s->initial_done, 1);
    if (gossip_event_kind(event) == GOSSIP_EVENT_CLOSED) atomic_store(&s->closed, 1);
    if (gossip_entry_int(gossip_event_entry(event), &value) == GOSSIP_OK) atomic_store(&s->last, value);
    atomic_fetch_add(&s->calls, 1);
    atomic_fetch_sub(&s->inside, 1);
}

static void on_event(void *user, const gossip_event *event) { note(user, event); }

static void on_drop(void *user) {
    seen *s = user;
    if (atomic_load(&s->inside) != 0) atomic_store(&s->overlapped, 1);
    atomic_fetch_add(&s->drops, 1);
}

static gossip_status follow(seen *s, gossip_event_fn fn, uint32_t flags) {
    gossip_sub sub = {0};
    const gossip_status status = gossip_subscribe(s->node, GOSSIP_EVENTS_ENTRIES, NULL, "t:", 2, GOSSIP_SUB_PREFIX | flags, fn, s, on_drop, &sub);
    atomic_store(&s->sub, sub.id);
    return status;
}

static gossip_status set_number(gossip_node node, const char *key, int64_t value) {
    return gossip_set_int(node, key, GOSSIP_NUL, value, NULL, 0);
}

TEST(a_callback_sees_changes_and_its_destructor_runs_once_at_unsubscribe) {
    seen s = {0};
    int calls;
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(set_number(s.node, "t:1", 1));
    CHECK_OK(follow(&s, on_event, GOSSIP_SUB_INITIAL));
    CHECK(UNTIL(atomic_load(&s.initial_done)));
    CHECK_EQ(atomic_load(&s.last), 1);
    CHECK_OK(set_number(s.node, "t:1", 2));
    CHECK(UNTIL(atomic_load(&s.last) == 2));
    CHECK_EQ(atomic_load(&s.drops), 0);
    CHECK_OK(gossip_unsubscribe((gossip_sub){atomic_load(&s.sub)}));
    CHECK_EQ(atomic_load(&s.drops), 1);
    calls = atomic_load(&s.calls);
    CHECK_OK(set_number(s.node, "t:1", 3));
    CHECK_OK(gossip_close(s.node));
    CHECK_EQ(atomic_load(&s.calls), calls);
    CHECK_EQ(atomic_load(&s.drops), 1);
    CHECK_STATUS(gossip_unsubscribe((gossip_sub){atomic_load(&s.sub)}), GOSSIP_ERR_CLOSED);
    CHECK_EQ(atomic_load(&s.overlapped), 0);
}

TEST(close_ends_callbacks_with_closed_and_destructors) {
    seen s[8];
    int i;
    const gossip_node node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    memset(s, 0, sizeof s);
    for (i = 0; i < 8; ++i) {
        s[i].node = node;
        CHECK_OK(follow(&s[i], on_event, 0));
    }
    for (i = 0; i < 100; ++i) CHECK_OK(set_number(node, "t:1", i));
    CHECK_OK(gossip_close(node));
    for (i = 0; i < 8; ++i) {
        CHECK_EQ(atomic_load(&s[i].drops), 1);
        CHECK_EQ(atomic_load(&s[i].closed), 1);
        CHECK_EQ(atomic_load(&s[i].calls_after_drop), 0);
        CHECK_EQ(atomic_load(&s[i].overlapped), 0);
    }
}

/* Unsubscribing while events pour in: the memory that the callback uses is freed right after. */
static void *pour(void *user) {
    seen *s = user;
    int64_t i = 0;
    while (atomic_load(&s->go_on) && set_number(s->node, "t:1", ++i) == GOSSIP_OK) {
    }
    return NULL;
}

TEST(after_unsubscribe_returns_nothing_calls_any_more) {
    seen writer = {0};
    pthread_t thread;
    size_t round;
    const size_t rounds = check_scaled(300);
    writer.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    atomic_store(&writer.go_on, 1);
    CHECK_EQ(pthread_create(&thread, NULL, pour, &writer), 0);
    for (round = 0; round < rounds; ++round) {
        seen *s = calloc(1, sizeof *s);
        int drops, overlapped;
        s->node = writer.node;
        if (follow(s, on_event, 0) != GOSSIP_OK || !UNTIL(atomic_load(&s->calls) > 0)) {
            check_fail(__FILE__, __LINE__, "a call comes");
            break;
        }
        if (gossip_unsubscribe((gossip_sub){atomic_load(&s->sub)}) != GOSSIP_OK) check_fail(__FILE__, __LINE__, "unsubscribe");
        drops = atomic_load(&s->drops);
        overlapped = atomic_load(&s->overlapped) + atomic_load(&s->inside) + atomic_load(&s->calls_after_drop);
        free(s);
        if (drops != 1 || overlapped != 0) check_fail(__FILE__, __LINE__, "one drop, after the last call");
    }
    atomic_store(&writer.go_on, 0);
    pthread_join(thread, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_close(writer.node));
}

static void end_inside(void *user, const gossip_event *event) {
    seen *s = user;
    const gossip_sub sub = {atomic_load(&s->sub)};
    note(s, event);
    if (sub.id == 0 || gossip_event_kind(event) == GOSSIP_EVENT_CLOSED || atomic_load(&s->statuses[2]) != 0) return;
    atomic_store(&s->statuses[0], gossip_unsubscribe(sub));
    atomic_store(&s->statuses[1], gossip_unsubscribe_nowait(sub));
    /* The function's own data is still there: the destructor runs after this call. */
    atomic_store(&s->statuses[2], 1 + atomic_load(&s->drops));
}

TEST(unsubscribe_inside_a_callback_would_deadlock_and_nowait_works) {
    seen s = {0};
    int64_t i = 0;
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(follow(&s, end_inside, 0));
    CHECK(UNTIL(set_number(s.node, "t:1", ++i) == GOSSIP_OK && atomic_load(&s.drops) == 1));
    CHECK_STATUS(atomic_load(&s.statuses[0]), GOSSIP_ERR_WOULD_DEADLOCK);
    CHECK_STATUS(atomic_load(&s.statuses[1]), GOSSIP_OK);
    CHECK_EQ(atomic_load(&s.statuses[2]), 1);
    CHECK_EQ(atomic_load(&s.calls_after_drop), 0);
    CHECK_OK(gossip_close(s.node));
    CHECK_EQ(atomic_load(&s.drops), 1);
}

static void close_inside(void *user, const gossip_event *event) {
    seen *s = user;
    int32_t state = 0;
    note(s, event);
    if (gossip_event_kind(event) != GOSSIP_EVENT_ENTRY_CHANGED || atomic_load(&s->statuses[3]) != 0) return;
    atomic_store(&s->statuses[0], gossip_close(s->node));
    atomic_store(&s->statuses[1], gossip_state(s->node, &state));
    atomic_store(&s->statuses[2], gossip_close_nowait(s->node));
    atomic_store(&s->statuses[3], 1);
}

TEST(close_inside_a_callback_would_deadlock_and_nowait_works) {
    seen s = {0};
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(follow(&s, close_inside, 0));
    CHECK_OK(set_number(s.node, "t:1", 1));
    CHECK(UNTIL(atomic_load(&s.drops) == 1));
    CHECK_STATUS(atomic_load(&s.statuses[0]), GOSSIP_ERR_WOULD_DEADLOCK);
    /* It stays open after the refusal. */
    CHECK_STATUS(atomic_load(&s.statuses[1]), GOSSIP_OK);
    CHECK_STATUS(atomic_load(&s.statuses[2]), GOSSIP_OK);
    CHECK_EQ(atomic_load(&s.closed), 1);
    CHECK_EQ(atomic_load(&s.calls_after_drop), 0);
    CHECK_STATUS(set_number(s.node, "t:1", 2), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(gossip_close(s.node), GOSSIP_ERR_CLOSED);
}

static void wait_inside(void *user, const gossip_event *event) {
    seen *s = user;
    note(s, event);
    if (gossip_event_kind(event) != GOSSIP_EVENT_ENTRY_CHANGED || atomic_load(&s->statuses[2]) != 0) return;
    atomic_store(&s->statuses[0], gossip_wait_for_members(s->node, 1, PATIENCE_MS));
    atomic_store(&s->statuses[2], 1);
    atomic_store(&s->statuses[1], gossip_wait_for_members(s->node, 1000, -1));
    atomic_store(&s->statuses[2], 2);
}

TEST(a_wait_inside_a_callback_ends_when_the_node_is_closed) {
    seen s = {0};
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(follow(&s, wait_inside, 0));
    CHECK_OK(set_number(s.node, "t:1", 1));
    CHECK(UNTIL(atomic_load(&s.statuses[2]) >= 1));
    /* Waits for the callback, which waits for a thousand members. */
    CHECK_OK(gossip_close(s.node));
    CHECK_EQ(atomic_load(&s.statuses[2]), 2);
    CHECK_STATUS(atomic_load(&s.statuses[0]), GOSSIP_OK);
    CHECK_STATUS(atomic_load(&s.statuses[1]), GOSSIP_ERR_CLOSED);
    CHECK_EQ(atomic_load(&s.drops), 1);
}

TEST(a_failing_subscribe_takes_nothing) {
    seen s = {0};
    gossip_sub sub = {77};
    const gossip_node none = {0};
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_STATUS(gossip_subscribe(none, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, on_event, &s, on_drop, &sub), GOSSIP_ERR_INVALID_HANDLE);
    CHECK_STATUS(gossip_subscribe(s.node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0x40000000u, on_event, &s, on_drop, &sub), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(gossip_subscribe(s.node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, on_event, &s, on_drop, NULL), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(gossip_subscribe(s.node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, NULL, &s, on_drop, &sub), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_OK(gossip_close(s.node));
    CHECK_STATUS(gossip_subscribe(s.node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, on_event, &s, on_drop, &sub), GOSSIP_ERR_CLOSED);
    CHECK_EQ(atomic_load(&s.drops), 0);
    CHECK_EQ(atomic_load(&s.calls), 0);
    CHECK_EQ(sub.id, 77);
}

static void call_back_in(void *user, const gossip_event *event) {
    seen *s = user;
    gossip_entries *entries = NULL;
    gossip_members *members = NULL;
    gossip_bytes *page = NULL;
    gossip_sub more = {0};
    int32_t state = 0;
    int64_t value = 0;
    note(s, event);
    if (gossip_entry_int(gossip_event_entry(event), &value) != GOSSIP_OK || value != 1) return;
    /* Everything that does not wait for this thread. */
    atomic_store(&s->statuses[0], set_number(s->node, "t:answer", 2));
    atomic_store(&s->statuses[1], gossip_get(s->node, NULL, "t:answer", GOSSIP_NUL, 0, &entries));
    if (gossip_members_get(s->node, 0, &members) != GOSSIP_OK || gossip_describe(s->node, &page) != GOSSIP_OK ||
        gossip_state(s->node, &state) != GOSSIP_OK || gossip_delete(s->node, "t:gone", GOSSIP_NUL) != GOSSIP_OK ||
        gossip_entries_len(entries) != 1 ||
        gossip_subscribe(s->node, GOSSIP_EVENTS_ENTRIES, NULL, "none", 4, 0, on_event, s, NULL, &more) != GOSSIP_OK ||
        gossip_unsubscribe_nowait(more) != GOSSIP_OK)
        atomic_store(&s->statuses[2], 1);
    gossip_entries_free(entries);
    gossip_members_free(members);
    gossip_bytes_free(page);
    atomic_store(&s->statuses[3], 1);
}

TEST(a_callback_may_call_back_in) {
    seen s = {0};
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(set_number(s.node, "t:gone", 0));
    CHECK_OK(follow(&s, call_back_in, 0));
    CHECK_OK(set_number(s.node, "t:1", 1));
    CHECK(UNTIL(atomic_load(&s.statuses[3]) == 1));
    CHECK(UNTIL(atomic_load(&s.last) == 2));
    CHECK_STATUS(atomic_load(&s.statuses[0]), GOSSIP_OK);
    CHECK_STATUS(atomic_load(&s.statuses[1]), GOSSIP_OK);
    CHECK_EQ(atomic_load(&s.statuses[2]), 0);
    CHECK_OK(gossip_close(s.node));
    CHECK_EQ(atomic_load(&s.drops), 1);
}

TEST(a_destructor_is_not_asked_for) {
    seen s = {0};
    gossip_sub sub = {0};
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_subscribe(s.node, GOSSIP_EVENTS_ENTRIES, NULL, "t:1", GOSSIP_NUL, 0, on_event, &s, NULL, &sub));
    CHECK_OK(set_number(s.node, "t:1", 5));
    CHECK(UNTIL(atomic_load(&s.last) == 5));
    CHECK_OK(gossip_unsubscribe(sub));
    CHECK_OK(gossip_close(s.node));
}

static void ends_the_other(void *user, const gossip_event *event) {
    seen *s = user;
    note(s, event);
    if (gossip_event_kind(event) == GOSSIP_EVENT_ENTRY_CHANGED && atomic_load(&s->statuses[1]) == 0) {
        atomic_store(&s->statuses[0], gossip_close(s->node));
        atomic_store(&s->statuses[1], 1);
    }
}

TEST(a_callback_may_close_another_node) {
    seen s = {0};
    gossip_sub sub = {0};
    const gossip_node here = open_node("callbacks", NULL, NULL);
    int status;
    CHECK_STILL();
    s.node = open_node("callbacks-other", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_subscribe(here, GOSSIP_EVENTS_ENTRIES, NULL, "t:1", GOSSIP_NUL, 0, ends_the_other, &s, on_drop, &sub));
    CHECK_OK(set_number(here, "t:1", 1));
    CHECK(UNTIL(atomic_load(&s.statuses[1]) == 1));
    status = atomic_load(&s.statuses[0]);
    CHECK_STATUS(status, GOSSIP_OK);
    CHECK_STATUS(gossip_close(s.node), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(set_number(s.node, "t:1", 1), GOSSIP_ERR_CLOSED);
    CHECK_OK(gossip_close(here));
    CHECK_EQ(atomic_load(&s.drops), 1);
}

/* Waits until the other's callback runs too, then closes the other's node. */
typedef struct closer {
    seen s;
    struct closer *other;
    gossip_status (*end)(struct closer *other);
} closer;

static void ends_each_other(void *user, const gossip_event *event) {
    closer *c = user;
    note(&c->s, event);
    if (gossip_event_kind(event) != GOSSIP_EVENT_ENTRY_CHANGED || atomic_exchange(&c->s.statuses[1], 1) != 0) return;
    if (!UNTIL(atomic_load(&c->other->s.statuses[1]) == 1)) return;
    atomic_store(&c->s.statuses[0], c->end(c->other));
    atomic_store(&c->s.statuses[2], 1);
}

static gossip_status close_of(closer *c) { return gossip_close(c->s.node); }
static gossip_status unsubscribe_of(closer *c) { return gossip_unsubscribe((gossip_sub){atomic_load(&c->s.sub)}); }

static void end_in_a_ring(int count, gossip_status (*end)(closer *)) {
    closer ring[3];
    int i, done = 0, refused = 0;
    memset(ring, 0, sizeof ring);
    for (i = 0; i < count; ++i) {
        ring[i].s.node = open_node(i == 0 ? "ring-0" : i == 1 ? "ring-1" : "ring-2", NULL, NULL);
        ring[i].other = &ring[(i + 1) % count];
        ring[i].end = end;
    }
    CHECK_STILL();
    for (i = 0; i < count; ++i) {
        gossip_sub sub = {0};
        CHECK_OK(gossip_subscribe(ring[i].s.node, GOSSIP_EVENTS_ENTRIES, NULL, "t:1", GOSSIP_NUL, 0, ends_each_other, &ring[i].s, on_drop, &sub));
        atomic_store(&ring[i].s.sub, sub.id);
    }
    for (i = 0; i < count; ++i) CHECK_OK(set_number(ring[i].s.node, "t:1", 1));
    for (i = 0; i < count; ++i) {
        int status;
        CHECK(UNTIL(atomic_load(&ring[i].s.statuses[2]) == 1));
        CHECK_STILL();
        status = atomic_load(&ring[i].s.statuses[0]);
        done += status == GOSSIP_OK;
        refused += status == GOSSIP_ERR_WOULD_DEADLOCK;
    }
    /* Whoever came last was refused; then all others could be waited for. */
    CHECK_EQ(done, count - 1);
    CHECK_EQ(refused, 1);
    for (i = 0; i < count; ++i) (void)gossip_close(ring[i].s.node);
    for (i = 0; i < count; ++i) {
        CHECK_EQ(atomic_load(&ring[i].s.drops), 1);
        CHECK_EQ(atomic_load(&ring[i].s.calls_after_drop), 0);
    }
}

TEST(of_callbacks_that_close_each_others_nodes_the_last_is_refused) {
    end_in_a_ring(2, close_of);
    CHECK_STILL();
    end_in_a_ring(3, close_of);
}

TEST(of_callbacks_that_unsubscribe_each_other_the_last_is_refused) { end_in_a_ring(2, unsubscribe_of); }

/* ---- ends that are under way are waited for ---- */

/* Ends itself (or its node) without waiting, and goes on for a while. */
static void end_and_linger(seen *s, gossip_status (*end)(seen *)) {
    if (atomic_load(&s->statuses[1]) != 0) return;
    atomic_fetch_add(&s->inside, 1);
    atomic_store(&s->statuses[0], end(s));
    atomic_store(&s->statuses[1], 1);
    while (!atomic_load(&s->go_on)) check_pause();
    atomic_fetch_sub(&s->inside, 1);
}

static gossip_status unsubscribe_it(seen *s) {
    UNTIL(atomic_load(&s->sub) != 0);
    return gossip_unsubscribe_nowait((gossip_sub){atomic_load(&s->sub)});
}
static gossip_status close_it(seen *s) { return gossip_close_nowait(s->node); }
static void unsubscribe_and_linger(void *user, const gossip_event *event) { (void)event, end_and_linger(user, unsubscribe_it); }
static void close_and_linger(void *user, const gossip_event *event) { (void)event, end_and_linger(user, close_it); }

static void *let_go_later(void *user) {
    seen *s = user;
    int i;
    for (i = 0; i < 25; ++i) check_pause();
    atomic_store(&s->go_on, 1);
    return NULL;
}

/* Gives what `wait` answers while the callback lingers; the callback and its destructor are over then. */
static void waits_for_it(gossip_event_fn fn, gossip_status (*wait)(seen *), gossip_status wanted) {
    seen s = {0};
    pthread_t thread;
    gossip_status status;
    int inside, drops;
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(follow(&s, fn, 0));
    CHECK_OK(set_number(s.node, "t:1", 1));
    CHECK(UNTIL(atomic_load(&s.statuses[1]) == 1));
    CHECK_EQ(pthread_create(&thread, NULL, let_go_later, &s), 0);
    status = wait(&s);
    inside = atomic_load(&s.inside);
    drops = atomic_load(&s.drops);
    pthread_join(thread, NULL);
    (void)gossip_close(s.node);
    CHECK_STATUS(atomic_load(&s.statuses[0]), GOSSIP_OK);
    CHECK_STATUS(status, wanted);
    CHECK_EQ(inside, 0);
    CHECK_EQ(drops, 1);
    CHECK_EQ(atomic_load(&s.drops), 1);
}

static gossip_status wait_unsubscribe(seen *s) { return gossip_unsubscribe((gossip_sub){atomic_load(&s->sub)}); }
static gossip_status wait_close(seen *s) { return gossip_close(s->node); }

TEST(unsubscribe_waits_for_an_unsubscribe_nowait) { waits_for_it(unsubscribe_and_linger, wait_unsubscribe, GOSSIP_ERR_CLOSED); }
TEST(unsubscribe_waits_for_a_close_nowait) { waits_for_it(close_and_linger, wait_unsubscribe, GOSSIP_OK); }
TEST(close_waits_for_a_close_nowait) { waits_for_it(close_and_linger, wait_close, GOSSIP_ERR_CLOSED); }
TEST(close_waits_for_an_unsubscribe_nowait) { waits_for_it(unsubscribe_and_linger, wait_close, GOSSIP_OK); }

TEST(a_node_that_is_being_closed_is_closed_to_all_other_calls) {
    seen s = {0};
    int32_t state = 77;
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(follow(&s, close_and_linger, 0));
    CHECK_OK(set_number(s.node, "t:1", 1));
    CHECK(UNTIL(atomic_load(&s.statuses[1]) == 1));
    CHECK_STATUS(gossip_state(s.node, &state), GOSSIP_ERR_CLOSED);
    CHECK_EQ(state, 77);
    CHECK_STATUS(set_number(s.node, "t:1", 2), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(gossip_leave(s.node, -1), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(gossip_close_nowait(s.node), GOSSIP_ERR_CLOSED);
    atomic_store(&s.go_on, 1);
    CHECK_STATUS(gossip_close(s.node), GOSSIP_ERR_CLOSED);
    CHECK_EQ(atomic_load(&s.drops), 1);
}

/* A destructor that runs on the thread that ends the subscription is no freer than one on the node's thread. */
static void drop_that_waits(void *user) {
    seen *s = user;
    atomic_store(&s->statuses[0], gossip_close(s->node));
    atomic_store(&s->statuses[1], gossip_unsubscribe((gossip_sub){atomic_load(&s->sub)}));
    atomic_store(&s->statuses[2], set_number(s->node, "t:1", 1));
    atomic_fetch_add(&s->drops, 1);
}

TEST(waiting_inside_a_destructor_would_deadlock) {
    seen s = {0};
    gossip_sub sub = {0};
    s.node = open_node("callbacks", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_subscribe(s.node, GOSSIP_EVENTS_ENTRIES, NULL, NULL, 0, 0, on_event, &s, drop_that_waits, &sub));
    atomic_store(&s.sub, sub.id);
    CHECK_OK(gossip_unsubscribe(sub));
    CHECK_EQ(atomic_load(&s.drops), 1);
    CHECK_STATUS(atomic_load(&s.statuses[0]), GOSSIP_ERR_WOULD_DEADLOCK);
    CHECK_STATUS(atomic_load(&s.statuses[1]), GOSSIP_ERR_WOULD_DEADLOCK);
    CHECK_STATUS(atomic_load(&s.statuses[2]), GOSSIP_OK);
    CHECK_OK(gossip_close(s.node));
}

/* Many threads end one subscription and its node in every way at once: one OK each, and no call after any return. */
static void *end_any_way(void *user) {
    seen *s = user;
    const gossip_sub sub = {atomic_load(&s->sub)};
    const int mine = atomic_fetch_add(&s->statuses[0], 1);
    gossip_status status;
    while (!atomic_load(&s->go_on)) {
    }
    switch (mine % 4) {
        case 0: status = gossip_unsubscribe(sub); break;
        case 1: status = gossip_close(s->node); break;
        case 2: (void)gossip_unsubscribe_nowait(sub), status = gossip_unsubscribe(sub); break;
        default: (void)gossip_close_nowait(s->node), status = gossip_close(s->node); break;
    }
    if (status != GOSSIP_OK && status != GOSSIP_ERR_CLOSED) atomic_store(&s->statuses[1], status);
    if (atomic_load(&s->inside) != 0 || atomic_load(&s->drops) != 1) atomic_store(&s->statuses[2], 1);
    return NULL;
}

TEST(ends_from_many_threads_are_one_end) {
    size_t round;
    const size_t rounds = check_scaled(200);
    for (round = 0; round < rounds || round == 0; ++round) {
        seen s = {0};
        pthread_t threads[4];
        int i;
        s.node = open_node("callbacks", NULL, NULL);
        CHECK_STILL();
        CHECK_OK(follow(&s, on_event, 0));
        for (i = 0; i < 4; ++i) CHECK_EQ(pthread_create(&threads[i], NULL, end_any_way, &s), 0);
        while (atomic_load(&s.statuses[0]) != 4) {
        }
        for (i = 0; i < 20; ++i) CHECK_OK(set_number(s.node, "t:1", i));
        atomic_store(&s.go_on, 1);
        for (i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
        CHECK_STATUS(atomic_load(&s.statuses[1]), GOSSIP_OK);
        CHECK_EQ(atomic_load(&s.statuses[2]), 0);
        CHECK_EQ(atomic_load(&s.drops), 1);
        CHECK_EQ(atomic_load(&s.calls_after_drop), 0);
    }
}

int main(void) {
    RUN(a_callback_sees_changes_and_its_destructor_runs_once_at_unsubscribe);
    RUN(close_ends_callbacks_with_closed_and_destructors);
    RUN(after_unsubscribe_returns_nothing_calls_any_more);
    RUN(unsubscribe_inside_a_callback_would_deadlock_and_nowait_works);
    RUN(close_inside_a_callback_would_deadlock_and_nowait_works);
    RUN(a_wait_inside_a_callback_ends_when_the_node_is_closed);
    RUN(a_failing_subscribe_takes_nothing);
    RUN(a_callback_may_call_back_in);
    RUN(a_destructor_is_not_asked_for);
    RUN(a_callback_may_close_another_node);
    RUN(of_callbacks_that_close_each_others_nodes_the_last_is_refused);
    RUN(of_callbacks_that_unsubscribe_each_other_the_last_is_refused);
    RUN(unsubscribe_waits_for_an_unsubscribe_nowait);
    RUN(unsubscribe_waits_for_a_close_nowait);
    RUN(close_waits_for_a_close_nowait);
    RUN(close_waits_for_an_unsubscribe_nowait);
    RUN(a_node_that_is_being_closed_is_closed_to_all_other_calls);
    RUN(waiting_inside_a_destructor_would_deadlock);
    RUN(ends_from_many_threads_are_one_end);
    return check_end();
}
