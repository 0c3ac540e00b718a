/* What the tests in C and C++ share: a test is a function, TEST(name) { ... }; RUN(name) in main runs it and prints a line;
 * main ends with `return check_end();`, whose line counts them. A failed CHECK prints itself and ends its test. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster_gossip.h"

/* Ends waits that hang. Nothing is measured by it: a slow machine passes. */
#define PATIENCE_MS 60000

static int check_passed, check_failed, check_skipped;
static int check_bad;                 /* the running test has failed */
static const char *check_skip_reason; /* the running test cannot run here */

#define TEST(name) static void name(void)
#define RUN(name) check_run(#name, name)

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            check_fail(__FILE__, __LINE__, #condition);                               \
            return;                                                                   \
        }                                                                             \
    } while (0)

/* Compares two integers and shows both. */
#define CHECK_EQ(have, want)                                                          \
    do {                                                                              \
        const long long check_a = (long long)(have), check_b = (long long)(want);     \
        if (check_a != check_b) {                                                     \
            check_fail(__FILE__, __LINE__, #have " == " #want);                       \
            printf("#    %lld, not %lld\n", check_a, check_b);                        \
            return;                                                                   \
        }                                                                             \
    } while (0)

/* Compares two statuses and shows both by name. */
#define CHECK_STATUS(have, want)                                                      \
    do {                                                                              \
        const gossip_status check_a = (have), check_b = (want);                       \
        if (check_a != check_b) {                                                     \
            check_fail(__FILE__, __LINE__, #have " == " #want);                       \
            printf("#    %s, not %s\n", gossip_status_name(check_a), gossip_status_name(check_b)); \
            return;                                                                   \
        }                                                                             \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, GOSSIP_OK)

#define CHECK_TEXT(have, want)                                                        \
    do {                                                                              \
        const char *check_a = (have), *check_b = (want);                              \
        if (check_a == NULL || strcmp(check_a, check_b) != 0) {                       \
            check_fail(__FILE__, __LINE__, #have " is " #want);                       \
            printf("#    \"%s\", not \"%s\"\n", check_a == NULL ? "(NULL)" : check_a, check_b); \
            return;                                                                   \
        }                                                                             \
    } while (0)

/* After a call of a helper that checks: gives up too. */
#define CHECK_STILL()         \
    do {                      \
        if (check_bad) return; \
    } while (0)

#define SKIP(reason)                  \
    do {                              \
        check_skip_reason = (reason); \
        return;                       \
    } while (0)

static inline void check_fail(const char *file, int line, const char *what) {
    check_bad = 1;
    printf("# %s:%d: %s\n", file, line, what);
}

static inline void check_run(const char *name, void (*test)(void)) {
    check_bad = 0;
    check_skip_reason = NULL;
    test();
    if (check_bad) {
        ++check_failed;
        printf("FAIL %s\n", name);
    } else if (check_skip_reason != NULL) {
        ++check_skipped;
        printf("skip %s: %s\n", name, check_skip_reason);
    } else {
        ++check_passed;
        printf("ok   %s\n", name);
    }
    fflush(stdout);
}

static inline int check_end(void) {
    printf("%d passed, %d failed, %d skipped\n", check_passed, check_failed, check_skipped);
    fflush(stdout);
    return check_failed != 0;
}

/* The mode that run.sh builds and runs in: plain, valgrind or asan. */
static inline int check_mode_is(const char *mode) {
    const char *set = getenv("CLUSTER_GOSSIP_TEST_MODE");
    return strcmp(set != NULL ? set : "plain", mode) == 0;
}

/* Whether the child of a fork may go on as an ordinary program. The allocator of AddressSanitizer before GCC 14 and LLVM 18 is
 * not fork safe: a lock of it that another thread held at the fork stays held in the child for ever (llvm-project #75290).
 * Such tests run in the other modes. */
static inline int check_child_may_allocate(void) {
    return !check_mode_is("asan");
}

/* Ends the child of a fork. The ordinary way in plain mode; where a tool looks for leaks it becomes another program instead:
 * what only the parent's threads held is lost to a child in any case, by the nature of fork. */
static inline void check_leave_child(int status) {
    fflush(NULL);
    if (!check_mode_is("plain")) {
        char command[32];
        snprintf(command, sizeof command, "exit %d", status);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    }
    exit(status);
}

/* A count for a heavy loop, divided where the tools make each step many times slower. */
static inline size_t check_scaled(size_t full) {
    const char *divisor = getenv("CLUSTER_GOSSIP_TEST_DIVISOR");
    const long by = divisor != NULL ? atol(divisor) : 1;
    return by > 1 ? full / (size_t)by : full;
}

static inline int64_t check_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void check_pause(void) {
    const struct timespec some = {0, 2000000};
    nanosleep(&some, NULL);
}

/* Tries a condition again until it holds or PATIENCE_MS are over: if (!UNTIL(...)) and CHECK(UNTIL(...)) both read well. */
#define UNTIL(condition) check_until_(condition)
#define check_until_(condition)                                                       \
    (__extension__({                                                                  \
        const int64_t check_end_ms = check_now_ms() + PATIENCE_MS;                    \
        int check_holds;                                                              \
        while (!(check_holds = (condition) ? 1 : 0) && check_now_ms() < check_end_ms) check_pause(); \
        check_holds;                                                                  \
    }))

/* ---- nodes ---- */

/* Opens a node of a cluster of its own on loopback; id and seeds may be NULL. On failure the test has failed. */
static inline gossip_node open_node(const char *cluster, const char *id, const char *seeds) {
    char settings[1024], message[GOSSIP_ERRBUF];
    gossip_node node = {0};
    gossip_status status;
    snprintf(settings, sizeof settings, "cluster=%s\nbind=127.0.0.1:0\n%s%s\n%s%s\n", cluster, id != NULL ? "id=" : "#",
             id != NULL ? id : "", seeds != NULL ? "seeds=" : "#", seeds != NULL ? seeds : "");
    status = gossip_open_text(settings, &node, message, sizeof message);
    if (status != GOSSIP_OK) {
        check_fail(__FILE__, __LINE__, "gossip_open_text");
        printf("#    %s: %s\n", gossip_status_name(status), message);
    }
    return node;
}

/* The node's address, for others' seeds; "" on failure. */
static inline void address_of(gossip_node node, char *out, size_t capacity) {
    gossip_members *self = NULL;
    out[0] = '\0';
    if (gossip_self(node, &self) != GOSSIP_OK) return;
    snprintf(out, capacity, "%s", gossip_member_address(gossip_members_at(self, 0), NULL));
    gossip_members_free(self);
}

static inline gossip_status set_text(gossip_node node, const char *key, const char *text) {
    return gossip_set_text(node, key, GOSSIP_NUL, text, strlen(text), NULL, 0);
}

/* 1 where the node reads this text of the member (NULL: of any) under the key. */
static inline int reads_text(gossip_node node, const char *member, const char *key, const char *text) {
    gossip_entries *entries = NULL;
    const char *found;
    size_t len = 0;
    int same = 0;
    if (gossip_get(node, member, key, GOSSIP_NUL, 0, &entries) != GOSSIP_OK) return 0;
    if (gossip_entries_len(entries) > 0) {
        found = gossip_entry_text(gossip_entries_at(entries, 0), &len);
        same = found != NULL && len == strlen(text) && memcmp(found, text, len) == 0;
    }
    gossip_entries_free(entries);
    return same;
}

#endif
