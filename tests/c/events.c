/* Queues: what is told, in which order, how often, and how a take waits and ends. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "packed.h"

static gossip_sub subscribe(gossip_node node, uint32_t what, const char *key, uint32_t flags, gossip_queue queue, uint64_t tag) {
    gossip_sub sub = {0};
    const gossip_status status = gossip_subscribe_queue(node, what, NULL, key, key != NULL ? strlen(key) : 0, flags, queue, tag, &sub);
    if (status != GOSSIP_OK) check_fail(__FILE__, __LINE__, gossip_status_name(status));
    return sub;
}

/* The next batch, compared with its packed form; NULL where there was none in time. */
static gossip_events *take(gossip_queue queue, size_t max, int32_t timeout_ms) {
    gossip_events *events = NULL;
    const gossip_status status = gossip_queue_take(queue, max, timeout_ms, &events);
    if (status == GOSSIP_ERR_TIMEOUT) return NULL;
    if (status != GOSSIP_OK) {
        check_fail(__FILE__, __LINE__, gossip_status_name(status));
        return NULL;
    }
    if (gossip_events_len(events) == 0 || gossip_events_len(events) > max) check_fail(__FILE__, __LINE__, "a batch has 1 to max events");
    packed_is_events(events);
    return events;
}

/* Takes single events until one is of this kind, and of this tag unless that is 0; NULL after PATIENCE_MS. */
static gossip_events *take_kind(gossip_queue queue, uint32_t kind, uint64_t tag) {
    const int64_t end = check_now_ms() + PATIENCE_MS;
    while (!check_bad && check_now_ms() < end) {
        gossip_events *events = take(queue, 1, 1000);
        const gossip_event *event = gossip_events_at(events, 0);
        if (event != NULL && gossip_event_kind(event) == kind && (tag == 0 || gossip_event_tag(event) == tag)) return events;
        gossip_events_free(events);
    }
    return NULL;
}

static int64_t integer_of(const gossip_event *event) {
    int64_t value = INT64_MIN;
    (void)gossip_entry_int(gossip_event_entry(event), &value);
    return value;
}

static int key_number(const gossip_event *event) {
    const char *key = gossip_entry_key(gossip_event_entry(event), NULL);
    return key != NULL && strncmp(key, "t:", 2) == 0 ? atoi(key + 2) : -1;
}

static int readable(gossip_queue queue) {
    struct pollfd waited = {-1, POLLIN, 0};
    if (gossip_queue_fd(queue, &waited.fd) != GOSSIP_OK) return -1;
    return poll(&waited, 1, 0);
}

TEST(a_million_sets_of_100_keys_are_100_events_for_a_sleeper) {
    const size_t sets = check_scaled(1000000);
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events;
    int64_t last[100];
    size_t i, seen = 0, batches = 0;
    uint64_t changes = 0;
    char key[16];
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:", GOSSIP_SUB_PREFIX, queue, 5);
    for (i = 0; i < sets; ++i) {
        snprintf(key, sizeof key, "t:%d", (int)(i % 100));
        CHECK_OK(gossip_set_int(node, key, GOSSIP_NUL, (int64_t)i, NULL, 0));
        last[i % 100] = (int64_t)i;
    }
    while ((events = take(queue, 7, 0)) != NULL) {
        ++batches;
        for (i = 0; i < gossip_events_len(events); ++i, ++seen) {
            const gossip_event *event = gossip_events_at(events, i);
            const int number = key_number(event);
            CHECK_EQ(gossip_event_kind(event), GOSSIP_EVENT_ENTRY_CHANGED);
            CHECK_EQ(gossip_event_tag(event), 5);
            CHECK_EQ(gossip_event_node(event), node.id);
            CHECK(number >= 0 && number < 100 && last[number] >= 0);
            CHECK_EQ(integer_of(event), last[number]);
            last[number] = -1;
            changes += gossip_event_conflated(event);
        }
        gossip_events_free(events);
    }
    CHECK_STILL();
    CHECK_EQ(seen, 100);
    CHECK_EQ(batches, 15);
    CHECK_EQ(changes, sets);
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(initial_gives_what_exists_then_the_mark_then_changes) {
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events;
    gossip_sub sub;
    size_t i, seen = 0;
    char key[16];
    int found[20] = {0};
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    for (i = 0; i < 20; ++i) {
        snprintf(key, sizeof key, "t:%d", (int)i);
        CHECK_OK(gossip_set_int(node, key, GOSSIP_NUL, (int64_t)i, NULL, 0));
    }
    CHECK_OK(gossip_delete(node, "t:19", GOSSIP_NUL));
    sub = subscribe(node, GOSSIP_EVENT_ENTRY_CHANGED, "t:", GOSSIP_SUB_PREFIX | GOSSIP_SUB_INITIAL, queue, 1);
    CHECK_OK(gossip_set_int(node, "t:3", GOSSIP_NUL, 300, NULL, 0));
    for (;;) {
        const gossip_event *event;
        events = take(queue, 1, PATIENCE_MS);
        CHECK(events != NULL);
        event = gossip_events_at(events, 0);
        CHECK_EQ(gossip_event_sub(event), sub.id);
        if (gossip_event_kind(event) == GOSSIP_EVENT_INITIAL_DONE) break;
        CHECK_EQ(gossip_event_kind(event), GOSSIP_EVENT_ENTRY_CHANGED);
        CHECK(key_number(event) >= 0 && key_number(event) < 19);
        ++found[key_number(event)];
        ++seen;
        gossip_events_free(events);
    }
    CHECK(gossip_event_entry(gossip_events_at(events, 0)) == NULL);
    gossip_events_free(events);
    CHECK_EQ(seen, 19);
    for (i = 0; i < 19; ++i) CHECK_EQ(found[i], 1);
    /* A change after subscribing comes before the mark, by its value, or after it, but never twice with one number. */
    CHECK_OK(gossip_set_int(node, "t:4", GOSSIP_NUL, 400, NULL, 0));
    do {
        events = take(queue, 1, PATIENCE_MS);
        CHECK(events != NULL);
        i = (size_t)integer_of(gossip_events_at(events, 0));
        gossip_events_free(events);
        CHECK(i == 300 || i == 400);
    } while (i != 400);
    CHECK(take(queue, 1, 0) == NULL);
    CHECK_STILL();
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(initial_of_nothing_is_the_mark_alone) {
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(node, GOSSIP_EVENTS_ENTRIES, "none", GOSSIP_SUB_INITIAL, queue, 0);
    events = take(queue, 10, PATIENCE_MS);
    CHECK_EQ(gossip_events_len(events), 1);
    CHECK_EQ(gossip_event_kind(gossip_events_at(events, 0)), GOSSIP_EVENT_INITIAL_DONE);
    gossip_events_free(events);
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(filters_choose_by_kind_member_and_key) {
    char seed[128];
    gossip_node a, b;
    gossip_queue queue = {0};
    gossip_sub sub = {0};
    gossip_events *events;
    uint64_t seen[6] = {0};
    const int64_t end = check_now_ms() + PATIENCE_MS;
    size_t i;
    a = open_node("events", "a", NULL);
    CHECK_STILL();
    address_of(a, seed, sizeof seed);
    b = open_node("events", "b", seed);
    CHECK_STILL();
    CHECK_OK(gossip_wait_for_members(a, 2, PATIENCE_MS));
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(a, GOSSIP_EVENTS_ENTRIES, "f:x", 0, queue, 1);                      /* one key of all */
    subscribe(a, GOSSIP_EVENTS_ENTRIES, "f:", GOSSIP_SUB_PREFIX, queue, 2);       /* both keys of all */
    subscribe(a, GOSSIP_EVENTS_ENTRIES, "f:", GOSSIP_SUB_PREFIX | GOSSIP_SUB_NO_SELF, queue, 3);
    CHECK_OK(gossip_subscribe_queue(a, GOSSIP_EVENTS_ENTRIES, "a", "f:", 2, GOSSIP_SUB_PREFIX, queue, 4, &sub));
    subscribe(a, GOSSIP_EVENT_ENTRY_DELETED, "f:", GOSSIP_SUB_PREFIX, queue, 5);
    CHECK_OK(set_text(a, "f:x", "1"));
    CHECK_OK(set_text(a, "f:y", "1"));
    CHECK_OK(set_text(b, "f:x", "1"));
    CHECK_OK(set_text(b, "f:y", "1"));
    CHECK_OK(set_text(b, "f:last", "1"));
    while (!(seen[1] == 2 && seen[2] == 5 && seen[3] == 3 && seen[4] == 2) && check_now_ms() < end) {
        events = take(queue, 100, 100);
        CHECK_STILL();
        for (i = 0; i < gossip_events_len(events); ++i) ++seen[gossip_event_tag(gossip_events_at(events, i))];
        gossip_events_free(events);
    }
    CHECK(take(queue, 1, 20) == NULL);
    CHECK_STILL();
    CHECK_EQ(seen[1], 2);
    CHECK_EQ(seen[2], 5);
    CHECK_EQ(seen[3], 3);
    CHECK_EQ(seen[4], 2);
    CHECK_EQ(seen[5], 0);
    CHECK_OK(gossip_delete(b, "f:x", GOSSIP_NUL));
    events = take_kind(queue, GOSSIP_EVENT_ENTRY_DELETED, 5);
    CHECK(events != NULL);
    CHECK_TEXT(gossip_entry_member(gossip_event_entry(gossip_events_at(events, 0)), NULL), "b");
    CHECK_TEXT(gossip_entry_key(gossip_event_entry(gossip_events_at(events, 0)), NULL), "f:x");
    CHECK_EQ(gossip_entry_value_kind(gossip_event_entry(gossip_events_at(events, 0))), GOSSIP_VALUE_NONE);
    gossip_events_free(events);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(an_expired_entry_is_told_as_deleted) {
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:1", 0, queue, 0);
    CHECK_OK(gossip_set_with(node, "t:1", GOSSIP_NUL, "", "x", 1, 50, 0, NULL, NULL, 0));
    events = take_kind(queue, GOSSIP_EVENT_ENTRY_DELETED, 0);
    CHECK(events != NULL);
    gossip_events_free(events);
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
}

/* ---- a writer beside the reader ---- */

typedef struct writing {
    gossip_node node;
    size_t sets;
    gossip_status status;
} writing;

static void *write_five_keys(void *user) {
    writing *job = user;
    size_t i;
    char key[16];
    for (i = 1; i <= job->sets && job->status == GOSSIP_OK; ++i) {
        snprintf(key, sizeof key, "t:%d", (int)(i % 5));
        job->status = gossip_set_int(job->node, key, GOSSIP_NUL, (int64_t)i, NULL, 0);
    }
    return NULL;
}

TEST(changes_of_a_key_come_in_order_once_and_get_is_as_new) {
    writing job = {{0}, check_scaled(200000), GOSSIP_OK};
    gossip_queue queue = {0};
    gossip_entries *now = NULL;
    uint64_t changes = 0, seq[5] = {0};
    int64_t value[5] = {0};
    const int64_t end = check_now_ms() + 5 * PATIENCE_MS;
    pthread_t thread;
    size_t i;
    job.node = open_node("events", "writer", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(job.node, GOSSIP_EVENTS_ENTRIES, "t:", GOSSIP_SUB_PREFIX, queue, 0);
    CHECK_EQ(pthread_create(&thread, NULL, write_five_keys, &job), 0);
    while (changes < job.sets && check_now_ms() < end) {
        gossip_events *events = take(queue, 64, 100);
        CHECK_STILL();
        for (i = 0; i < gossip_events_len(events); ++i) {
            const gossip_event *event = gossip_events_at(events, i);
            const gossip_entry *entry = gossip_event_entry(event);
            const int k = key_number(event);
            CHECK(k >= 0 && k < 5);
            CHECK(gossip_entry_seq(entry) > seq[k]);
            CHECK(integer_of(event) > value[k]);
            seq[k] = gossip_entry_seq(entry);
            value[k] = integer_of(event);
            changes += gossip_event_conflated(event);
            CHECK_OK(gossip_get_own(job.node, gossip_entry_key(entry, NULL), GOSSIP_NUL, &now));
            CHECK(gossip_entry_seq(gossip_entries_at(now, 0)) >= seq[k]);
            gossip_entries_free(now);
        }
        gossip_events_free(events);
    }
    pthread_join(thread, NULL);
    CHECK_OK(job.status);
    CHECK_EQ(changes, job.sets);
    for (i = 0; i < 5; ++i) CHECK(value[i] > (int64_t)job.sets - 5);
    CHECK(take(queue, 1, 0) == NULL);
    CHECK_OK(gossip_close(job.node));
    CHECK_OK(gossip_queue_free(queue));
}

/* ---- waiting ---- */

TEST(the_fd_is_readable_as_long_as_there_is_something) {
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events = NULL;
    int32_t fd = -1;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:", GOSSIP_SUB_PREFIX, queue, 0);
    CHECK_OK(gossip_queue_fd(queue, &fd));
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(readable(queue), 0);
    CHECK_OK(set_text(node, "t:1", "x"));
    CHECK_OK(set_text(node, "t:2", "x"));
    CHECK(UNTIL(readable(queue) == 1));
    CHECK_EQ(readable(queue), 1);
    events = take(queue, 1, 0);
    CHECK_EQ(gossip_events_len(events), 1);
    gossip_events_free(events);
    CHECK_EQ(readable(queue), 1);
    events = take(queue, 1, 0);
    CHECK_EQ(gossip_events_len(events), 1);
    gossip_events_free(events);
    CHECK_EQ(readable(queue), 0);
    CHECK_STATUS(gossip_queue_take(queue, 1, 0, &events), GOSSIP_ERR_TIMEOUT);
    CHECK_OK(set_text(node, "t:1", "y"));
    CHECK(UNTIL(readable(queue) == 1));
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
}

typedef struct taking {
    gossip_queue queue;
    gossip_status status;
    gossip_events *events;
} taking;

static void *take_for_ever(void *user) {
    taking *job = user;
    /* The test looks whether this takes by taking itself, and must not have come between. */
    do job->status = gossip_queue_take(job->queue, 10, -1, &job->events);
    while (job->status == GOSSIP_ERR_BUSY);
    return NULL;
}

TEST(a_second_taker_is_busy_and_wake_ends_the_first) {
    taking job = {{0}, GOSSIP_OK, NULL};
    gossip_events *events = NULL;
    pthread_t thread;
    CHECK_OK(gossip_queue_new(0, &job.queue));
    CHECK_EQ(pthread_create(&thread, NULL, take_for_ever, &job), 0);
    CHECK(UNTIL(gossip_queue_take(job.queue, 1, 0, &events) == GOSSIP_ERR_BUSY));
    CHECK_STATUS(gossip_queue_take(job.queue, 1, -1, &events), GOSSIP_ERR_BUSY);
    CHECK_OK(gossip_queue_wake(job.queue));
    pthread_join(thread, NULL);
    CHECK_STATUS(job.status, GOSSIP_ERR_INTERRUPTED);
    CHECK(events == NULL && job.events == NULL);
    CHECK_STATUS(gossip_queue_take(job.queue, 1, 0, &events), GOSSIP_ERR_TIMEOUT);
    CHECK_OK(gossip_queue_free(job.queue));
}

TEST(a_wake_before_a_take_is_not_lost) {
    gossip_queue queue = {0};
    gossip_events *events = NULL;
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_queue_wake(queue));
    CHECK_EQ(readable(queue), 1);
    CHECK_STATUS(gossip_queue_take(queue, 1, -1, &events), GOSSIP_ERR_INTERRUPTED);
    CHECK_EQ(readable(queue), 0);
    CHECK_STATUS(gossip_queue_take(queue, 1, 20, &events), GOSSIP_ERR_TIMEOUT);
    CHECK_OK(gossip_queue_free(queue));
}

TEST(freeing_a_queue_ends_its_take_and_its_subscriptions) {
    const gossip_node node = open_node("events", NULL, NULL);
    taking job = {{0}, GOSSIP_OK, NULL};
    gossip_events *events = NULL;
    gossip_sub sub;
    pthread_t thread;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &job.queue));
    sub = subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:1", 0, job.queue, 0);
    CHECK_EQ(pthread_create(&thread, NULL, take_for_ever, &job), 0);
    CHECK(UNTIL(gossip_queue_take(job.queue, 1, 0, &events) == GOSSIP_ERR_BUSY));
    CHECK_OK(gossip_queue_free(job.queue));
    pthread_join(thread, NULL);
    CHECK_STATUS(job.status, GOSSIP_ERR_CLOSED);
    CHECK_STATUS(gossip_unsubscribe(sub), GOSSIP_ERR_CLOSED);
    CHECK_OK(set_text(node, "t:1", "x"));
    CHECK_OK(gossip_close(node));
}

TEST(a_take_that_waits_gets_the_event) {
    const gossip_node node = open_node("events", NULL, NULL);
    taking job = {{0}, GOSSIP_OK, NULL};
    gossip_events *events = NULL;
    pthread_t thread;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &job.queue));
    subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:1", 0, job.queue, 0);
    CHECK_EQ(pthread_create(&thread, NULL, take_for_ever, &job), 0);
    CHECK(UNTIL(gossip_queue_take(job.queue, 1, 0, &events) == GOSSIP_ERR_BUSY));
    CHECK_OK(gossip_set_int(node, "t:1", GOSSIP_NUL, 7, NULL, 0));
    pthread_join(thread, NULL);
    CHECK_OK(job.status);
    CHECK_EQ(integer_of(gossip_events_at(job.events, 0)), 7);
    /* A batch needs no node and no queue. */
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(job.queue));
    CHECK_EQ(integer_of(gossip_events_at(job.events, 0)), 7);
    gossip_events_free(job.events);
}

/* ---- nodes and members ---- */

TEST(one_queue_serves_two_nodes_and_outlives_them) {
    gossip_queue queue = {0};
    gossip_events *events;
    gossip_sub sub_a, sub_b;
    const gossip_node a = open_node("one", "a", NULL), b = open_node("other", "b", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    sub_a = subscribe(a, GOSSIP_EVENTS_ENTRIES, "t:1", 0, queue, 100);
    sub_b = subscribe(b, GOSSIP_EVENTS_ENTRIES, "t:1", 0, queue, (uint64_t)1 << 63);
    CHECK(sub_a.id != sub_b.id);
    CHECK_OK(set_text(a, "t:1", "of a"));
    events = take(queue, 10, PATIENCE_MS);
    CHECK_EQ(gossip_events_len(events), 1);
    CHECK_EQ(gossip_event_node(gossip_events_at(events, 0)), a.id);
    CHECK_EQ(gossip_event_sub(gossip_events_at(events, 0)), sub_a.id);
    CHECK_EQ(gossip_event_tag(gossip_events_at(events, 0)), 100);
    gossip_events_free(events);
    CHECK_OK(set_text(b, "t:1", "of b"));
    events = take(queue, 10, PATIENCE_MS);
    CHECK_EQ(gossip_event_node(gossip_events_at(events, 0)), b.id);
    CHECK(gossip_event_tag(gossip_events_at(events, 0)) == (uint64_t)1 << 63);
    gossip_events_free(events);

    CHECK_OK(set_text(a, "t:1", "last of a"));
    CHECK_OK(gossip_close(a));
    /* What was there is not lost; then the end is told. */
    events = take(queue, 1, PATIENCE_MS);
    CHECK_EQ(gossip_event_kind(gossip_events_at(events, 0)), GOSSIP_EVENT_ENTRY_CHANGED);
    gossip_events_free(events);
    events = take(queue, 1, PATIENCE_MS);
    CHECK_EQ(gossip_event_kind(gossip_events_at(events, 0)), GOSSIP_EVENT_CLOSED);
    CHECK_EQ(gossip_event_sub(gossip_events_at(events, 0)), sub_a.id);
    CHECK_EQ(gossip_event_tag(gossip_events_at(events, 0)), 100);
    gossip_events_free(events);
    CHECK_STATUS(gossip_unsubscribe(sub_a), GOSSIP_ERR_CLOSED);

    CHECK_OK(set_text(b, "t:1", "still"));
    events = take(queue, 1, PATIENCE_MS);
    CHECK_EQ(gossip_event_node(gossip_events_at(events, 0)), b.id);
    gossip_events_free(events);
    CHECK_OK(gossip_unsubscribe(sub_b));
    CHECK_OK(set_text(b, "t:1", "not told"));
    CHECK(take(queue, 1, 20) == NULL);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(members_join_before_their_entries_and_leave_with_word) {
    char seed[128], settings[512];
    gossip_node a, b = {0};
    gossip_queue queue = {0};
    gossip_events *events;
    int joined = 0, entry = 0;
    const int64_t end = check_now_ms() + PATIENCE_MS;
    a = open_node("events", "a", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(a, GOSSIP_EVENTS_ALL, NULL, GOSSIP_SUB_NO_SELF, queue, 1);
    address_of(a, seed, sizeof seed);
    snprintf(settings, sizeof settings, "cluster=events\nid=b\nbind=127.0.0.1:0\nseeds=%s\ntags=role=second\n", seed);
    CHECK_OK(gossip_open_text(settings, &b, NULL, 0));
    CHECK_OK(set_text(b, "t:1", "x"));
    while (!entry && check_now_ms() < end) {
        const gossip_event *event;
        events = take(queue, 1, 1000);
        CHECK_STILL();
        event = gossip_events_at(events, 0);
        if (gossip_event_kind(event) == GOSSIP_EVENT_MEMBER_JOINED) {
            CHECK_TEXT(gossip_member_id(gossip_event_member(event), NULL), "b");
            joined = 1;
        }
        if (gossip_event_kind(event) == GOSSIP_EVENT_ENTRY_CHANGED) {
            CHECK_TEXT(gossip_entry_member(gossip_event_entry(event), NULL), "b");
            CHECK(joined);
            if (key_number(event) == 1) entry = 1;
        }
        gossip_events_free(events);
    }
    CHECK(entry);
    CHECK_OK(gossip_reconfigure(b, "tags", "role=changed", NULL, 0));
    events = take_kind(queue, GOSSIP_EVENT_MEMBER_UPDATED, 0);
    CHECK(events != NULL);
    CHECK_TEXT(gossip_member_tag_value(gossip_event_member(gossip_events_at(events, 0)), 0, NULL), "changed");
    gossip_events_free(events);
    CHECK_OK(gossip_leave(b, PATIENCE_MS));
    events = take_kind(queue, GOSSIP_EVENT_MEMBER_LEFT, 0);
    CHECK(events != NULL);
    CHECK_TEXT(gossip_member_id(gossip_event_member(gossip_events_at(events, 0)), NULL), "b");
    CHECK_EQ(gossip_member_status(gossip_event_member(gossip_events_at(events, 0))), GOSSIP_MEMBER_LEFT);
    gossip_events_free(events);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(states_of_the_node_and_being_synced_are_events) {
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(node, GOSSIP_EVENTS_NODE, NULL, 0, queue, 1);
    CHECK_OK(gossip_leave_nowait(node));
    do {
        events = take_kind(queue, GOSSIP_EVENT_NODE_STATE, 1);
        CHECK(events != NULL);
        if (gossip_event_code(gossip_events_at(events, 0)) == GOSSIP_STATE_LEFT) break;
        gossip_events_free(events);
    } while (1);
    gossip_events_free(events);
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(a_wrong_cluster_name_is_a_warning_in_words) {
    char seed[128];
    gossip_node a, b;
    gossip_queue queue = {0};
    gossip_events *events;
    a = open_node("right", "a", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(a, GOSSIP_EVENT_WARNING, NULL, 0, queue, 1);
    address_of(a, seed, sizeof seed);
    b = open_node("wrong", "b", seed);
    CHECK_STILL();
    events = take_kind(queue, GOSSIP_EVENT_WARNING, 1);
    CHECK(events != NULL);
    CHECK(strstr(gossip_event_text(gossip_events_at(events, 0), NULL), "cluster") != NULL);
    gossip_events_free(events);
    CHECK_STATUS(gossip_wait_for_members(a, 2, 0), GOSSIP_ERR_TIMEOUT);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(log_lines_come_with_level_and_target) {
    char seed[128], settings[512];
    gossip_node a = {0}, b;
    gossip_queue queue = {0};
    gossip_events *events;
    const gossip_event *event;
    size_t len = 0;
    CHECK_OK(gossip_open_text("cluster=events\nid=a\nbind=127.0.0.1:0\nlog_level=trace\n", &a, settings, sizeof settings));
    CHECK_OK(gossip_queue_new(16, &queue));
    subscribe(a, GOSSIP_EVENT_LOG, NULL, 0, queue, 1);
    address_of(a, seed, sizeof seed);
    b = open_node("events", "b", seed);
    CHECK_STILL();
    events = take_kind(queue, GOSSIP_EVENT_LOG, 1);
    CHECK(events != NULL);
    event = gossip_events_at(events, 0);
    CHECK(gossip_event_code(event) >= GOSSIP_LOG_ERROR && gossip_event_code(event) <= GOSSIP_LOG_TRACE);
    CHECK(gossip_event_text(event, &len)[0] != '\0' && len > 0);
    CHECK(gossip_event_target(event, &len)[0] != '\0' && len > 0);
    CHECK(gossip_event_entry(event) == NULL && gossip_event_member(event) == NULL);
    gossip_events_free(events);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
    CHECK_OK(gossip_queue_free(queue));
}

TEST(unsubscribe_takes_back_what_waits) {
    const gossip_node node = open_node("events", NULL, NULL);
    gossip_queue queue = {0};
    gossip_events *events;
    gossip_sub first, second;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    first = subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:1", 0, queue, 1);
    second = subscribe(node, GOSSIP_EVENTS_ENTRIES, "t:1", 0, queue, 2);
    CHECK_OK(set_text(node, "t:1", "x"));
    CHECK_OK(gossip_unsubscribe(first));
    CHECK((events = take(queue, 10, 0)) != NULL);
    CHECK_EQ(gossip_events_len(events), 1);
    CHECK_EQ(gossip_event_tag(gossip_events_at(events, 0)), 2);
    gossip_events_free(events);
    /* Also the mark that its node was closed. */
    CHECK_OK(gossip_close(node));
    CHECK_STATUS(gossip_unsubscribe(second), GOSSIP_ERR_CLOSED);
    CHECK((events = take_kind(queue, GOSSIP_EVENT_CLOSED, 2)) != NULL);
    gossip_events_free(events);
    CHECK(take(queue, 10, 0) == NULL);
    CHECK_OK(gossip_queue_free(queue));
}

TEST(what_is_beyond_a_limit_is_told_with_member_key_and_reason) {
    char seed[128], settings[512], message[GOSSIP_ERRBUF], value[200] = "";
    gossip_node a, b = {0};
    gossip_queue queue = {0};
    gossip_events *events;
    const gossip_event *event;
    size_t len = 0;
    a = open_node("events", "a", NULL);
    CHECK_STILL();
    address_of(a, seed, sizeof seed);
    snprintf(settings, sizeof settings, "cluster=events\nid=b\nbind=127.0.0.1:0\nmax_value_size=100\nseeds=%s\n", seed);
    CHECK_OK(gossip_open_text(settings, &b, message, sizeof message));
    CHECK_OK(gossip_queue_new(0, &queue));
    subscribe(b, GOSSIP_EVENTS_ENTRIES, NULL, 0, queue, 1);
    CHECK_OK(gossip_set(a, "too\0large", 9, NULL, value, sizeof value, NULL, 0));
    CHECK((events = take_kind(queue, GOSSIP_EVENT_ENTRY_REFUSED, 1)) != NULL);
    event = gossip_events_at(events, 0);
    CHECK_TEXT(gossip_member_id(gossip_event_member(event), NULL), "a");
    CHECK(memcmp(gossip_event_target(event, &len), "too\0large", 10) == 0);
    CHECK_EQ(len, 9);
    CHECK(strstr(gossip_event_text(event, NULL), "100") != NULL);
    CHECK(gossip_event_entry(event) == NULL);
    gossip_events_free(events);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
    CHECK_OK(gossip_queue_free(queue));
}

int main(void) {
    RUN(a_million_sets_of_100_keys_are_100_events_for_a_sleeper);
    RUN(initial_gives_what_exists_then_the_mark_then_changes);
    RUN(initial_of_nothing_is_the_mark_alone);
    RUN(filters_choose_by_kind_member_and_key);
    RUN(an_expired_entry_is_told_as_deleted);
    RUN(changes_of_a_key_come_in_order_once_and_get_is_as_new);
    RUN(the_fd_is_readable_as_long_as_there_is_something);
    RUN(a_second_taker_is_busy_and_wake_ends_the_first);
    RUN(a_wake_before_a_take_is_not_lost);
    RUN(freeing_a_queue_ends_its_take_and_its_subscriptions);
    RUN(a_take_that_waits_gets_the_event);
    RUN(one_queue_serves_two_nodes_and_outlives_them);
    RUN(members_join_before_their_entries_and_leave_with_word);
    RUN(states_of_the_node_and_being_synced_are_events);
    RUN(a_wrong_cluster_name_is_a_warning_in_words);
    RUN(log_lines_come_with_level_and_target);
    RUN(unsubscribe_takes_back_what_waits);
    RUN(what_is_beyond_a_limit_is_told_with_member_key_and_reason);
    return check_end();
}
