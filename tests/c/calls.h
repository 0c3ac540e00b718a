/* Every function that takes an id, as a function of that id alone, so that tests can try each with bad, closed and inherited
 * ids. Each call watches that nothing is written unless the status is GOSSIP_OK; `wrote_on_failure` remembers. */
#ifndef CALLS_H
#define CALLS_H

#include "check.h"

static const char *wrote_on_failure; /* the function that did, or NULL */

#define UNTOUCHED_POINTER(type) ((type *)(void *)(uintptr_t)0x5a5a5a58)
#define UNTOUCHED_NUMBER 0x5a5a5a5a

static inline void never_called(void *user, const gossip_event *event) { (void)user, (void)event; }

/* A call that hands out a list or bytes, freed at once. */
#define OUT_POINTER(type, free_it, call)                                       \
    type *out = UNTOUCHED_POINTER(type);                                       \
    const gossip_status status = call;                                         \
    if (status == GOSSIP_OK) free_it(out);                                     \
    else if (out != UNTOUCHED_POINTER(type)) wrote_on_failure = #call;         \
    return status
#define OUT_NUMBER(type, call)                                                 \
    type out = UNTOUCHED_NUMBER;                                               \
    const gossip_status status = call;                                         \
    if (status != GOSSIP_OK && out != UNTOUCHED_NUMBER) wrote_on_failure = #call; \
    return status
#define OUT_ID(type, call)                                                     \
    type out = {UNTOUCHED_NUMBER};                                             \
    const gossip_status status = call;                                         \
    if (status != GOSSIP_OK && out.id != UNTOUCHED_NUMBER) wrote_on_failure = #call; \
    return status

#define CONFIG_CALLS(X)                                                                                        \
    X(gossip_config_set, return gossip_config_set(it, "cluster", "c", NULL, 0))                                \
    X(gossip_config_get, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_config_get(it, "cluster", &out))) \
    X(gossip_open, OUT_ID(gossip_node, gossip_open(it, &out, NULL, 0)))                                        \
    X(gossip_config_free, return gossip_config_free(it))

/* Those that end a node last. */
#define NODE_CALLS(X)                                                                                                      \
    X(gossip_reconfigure, return gossip_reconfigure(it, "tags", "a=b", NULL, 0))                                           \
    X(gossip_setting_get, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_setting_get(it, "cluster", &out)))           \
    X(gossip_state, OUT_NUMBER(int32_t, gossip_state(it, &out)))                                                           \
    X(gossip_self, OUT_POINTER(gossip_members, gossip_members_free, gossip_self(it, &out)))                                \
    X(gossip_wait_for_members, return gossip_wait_for_members(it, 1, 0))                                                   \
    X(gossip_wait_synced, return gossip_wait_synced(it, 0))                                                                \
    X(gossip_describe, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_describe(it, &out)))                            \
    X(gossip_snapshot, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_snapshot(it, GOSSIP_FORMAT_JSON, &out)))        \
    X(gossip_offsets, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_offsets(it, &out)))                              \
    X(gossip_metrics, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_metrics(it, GOSSIP_FORMAT_JSON, &out)))          \
    X(gossip_set, return gossip_set(it, "k", 1, "", "v", 1, NULL, 0))                                                      \
    X(gossip_set_with, OUT_NUMBER(uint64_t, gossip_set_with(it, "k", 1, "", "v", 1, 0, 0, &out, NULL, 0)))                 \
    X(gossip_set_plain, OUT_NUMBER(uint64_t, gossip_set_plain(it, "k", 1, GOSSIP_VALUE_TEXT, "v", 1, 0, 0, &out, NULL, 0))) \
    X(gossip_set_text, return gossip_set_text(it, "k", 1, "v", 1, NULL, 0))                                                \
    X(gossip_set_bool, return gossip_set_bool(it, "k", 1, 1, NULL, 0))                                                     \
    X(gossip_set_int, return gossip_set_int(it, "k", 1, 1, NULL, 0))                                                       \
    X(gossip_set_double, return gossip_set_double(it, "k", 1, 1.0, NULL, 0))                                               \
    X(gossip_get, OUT_POINTER(gossip_entries, gossip_entries_free, gossip_get(it, NULL, "k", 1, 0, &out)))                 \
    X(gossip_get_own, OUT_POINTER(gossip_entries, gossip_entries_free, gossip_get_own(it, "k", 1, &out)))                  \
    X(gossip_delete, return gossip_delete(it, "k", 1))                                                                     \
    X(gossip_members_get, OUT_POINTER(gossip_members, gossip_members_free, gossip_members_get(it, 0, &out)))               \
    X(gossip_subscribe, OUT_ID(gossip_sub, gossip_subscribe(it, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, never_called, NULL, NULL, &out))) \
    X(gossip_ban, return gossip_ban(it, "someone else", NULL, 0))                                                          \
    X(gossip_unban, return gossip_unban(it, "someone else", NULL, 0))                                                      \
    X(gossip_bans, OUT_POINTER(gossip_bytes, gossip_bytes_free, gossip_bans(it, &out)))                                    \
    X(gossip_statistic_set, return gossip_statistic_set(it, "n", 1, NULL, 0))                                              \
    X(gossip_statistic_delete, return gossip_statistic_delete(it, "n", NULL, 0))                                           \
    X(gossip_leave, return gossip_leave(it, 0))                                                                            \
    X(gossip_leave_nowait, return gossip_leave_nowait(it))                                                                 \
    X(gossip_close_nowait, return gossip_close_nowait(it))                                                                 \
    X(gossip_close, return gossip_close(it))

#define QUEUE_CALLS(X)                                                                                         \
    X(gossip_queue_fd, OUT_NUMBER(int32_t, gossip_queue_fd(it, &out)))                                         \
    X(gossip_queue_take, OUT_POINTER(gossip_events, gossip_events_free, gossip_queue_take(it, 1, 0, &out)))    \
    X(gossip_queue_wake, return gossip_queue_wake(it))                                                         \
    X(gossip_queue_free, return gossip_queue_free(it))

#define SUB_CALLS(X)                                                     \
    X(gossip_unsubscribe_nowait, return gossip_unsubscribe_nowait(it))   \
    X(gossip_unsubscribe, return gossip_unsubscribe(it))

#define DEFINE_CONFIG(name, ...) static inline gossip_status call_##name(uint64_t id) { const gossip_config it = {id}; __VA_ARGS__; }
#define DEFINE_NODE(name, ...) static inline gossip_status call_##name(uint64_t id) { const gossip_node it = {id}; __VA_ARGS__; }
#define DEFINE_QUEUE(name, ...) static inline gossip_status call_##name(uint64_t id) { const gossip_queue it = {id}; __VA_ARGS__; }
#define DEFINE_SUB(name, ...) static inline gossip_status call_##name(uint64_t id) { const gossip_sub it = {id}; __VA_ARGS__; }
CONFIG_CALLS(DEFINE_CONFIG)
NODE_CALLS(DEFINE_NODE)
QUEUE_CALLS(DEFINE_QUEUE)
SUB_CALLS(DEFINE_SUB)

typedef struct call {
    const char *name;
    gossip_status (*function)(uint64_t id);
} call;

#define ROW(name, ...) {#name, call_##name},
static const call config_calls[] = {CONFIG_CALLS(ROW){NULL, NULL}};
static const call node_calls[] = {NODE_CALLS(ROW){NULL, NULL}};
static const call queue_calls[] = {QUEUE_CALLS(ROW){NULL, NULL}};
static const call sub_calls[] = {SUB_CALLS(ROW){NULL, NULL}};
#undef ROW

/* Every call of the list answers `want` (or `or_want`) for the id; what does not is printed and fails the test. */
static inline void all_answer(const call *calls, uint64_t id, gossip_status want, gossip_status or_want) {
    for (; calls->name != NULL; ++calls) {
        const gossip_status have = calls->function(id);
        if (have == want || have == or_want) continue;
        check_fail(__FILE__, __LINE__, calls->name);
        printf("#    id %" PRIx64 ": %s, not %s\n", id, gossip_status_name(have), gossip_status_name(want));
    }
    if (wrote_on_failure != NULL) {
        check_fail(__FILE__, __LINE__, "an output was written although the call failed:");
        printf("#    %s\n", wrote_on_failure);
        wrote_on_failure = NULL;
    }
}

#endif
