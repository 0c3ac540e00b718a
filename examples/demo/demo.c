/* The C program of the mixed-language demo: says hello, counts, and follows the others through a native callback.
 *
 * Each program of the demo, in whatever language, sets two keys: `demo:greeting` (a text) once, and `demo:counter` (an
 * integer) four times a second. Its exit status is 0 if it saw the greeting and a changing counter of as many members as
 * --expect says, itself included.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster_gossip.h"

enum { TICK_MS = 250, LEAVE_MS = 1000, MOST_MEMBERS = 256 };

/* ---- what was seen of the members ---- */

struct member {
    char id[256]; /* ids have at most 255 bytes */
    int greeted;
    int counted;
    int counter_changed;
    int64_t counter;
};

/* Filled by the callback on the node's thread, read by the main thread at the end. */
static struct {
    pthread_mutex_t lock;
    struct member members[MOST_MEMBERS];
    size_t count;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct member *member_named(const char *id) {
    struct member *member;
    size_t i;
    for (i = 0; i < seen.count; ++i)
        if (strcmp(seen.members[i].id, id) == 0) return &seen.members[i];
    if (seen.count == MOST_MEMBERS) return NULL;
    member = &seen.members[seen.count++];
    snprintf(member->id, sizeof member->id, "%s", id);
    return member;
}

/* What the callback reads of an event is valid until it returns, so it keeps copies. */
static void on_change(void *user, const gossip_event *event) {
    const gossip_entry *entry = gossip_event_entry(event);
    const char *key;
    struct member *member;
    int64_t counter;
    (void)user;
    if (gossip_event_kind(event) != GOSSIP_EVENT_ENTRY_CHANGED) return;
    key = gossip_entry_key(entry, NULL);
    pthread_mutex_lock(&seen.lock);
    member = member_named(gossip_entry_member(entry, NULL));
    if (member != NULL && strcmp(key, "demo:greeting") == 0 && gossip_entry_text(entry, NULL) != NULL) member->greeted = 1;
    if (member != NULL && strcmp(key, "demo:counter") == 0 && gossip_entry_int(entry, &counter) == GOSSIP_OK) {
        if (member->counted && member->counter != counter) member->counter_changed = 1;
        member->counted = 1;
        member->counter = counter;
    }
    pthread_mutex_unlock(&seen.lock);
}

static size_t whole_members(void) {
    size_t whole = 0, i;
    pthread_mutex_lock(&seen.lock);
    for (i = 0; i < seen.count; ++i) whole += (size_t)(seen.members[i].greeted && seen.members[i].counter_changed);
    pthread_mutex_unlock(&seen.lock);
    return whole;
}

/* ---- the options ---- */

struct options {
    const char *language, *seeds, *print_address;
    double seconds;
    size_t expect;
};

static int usage(const char *program) {
    fprintf(stderr, "usage: %s [--language NAME] [--seeds ADDRESS,...] [--seconds N] [--print-address FILE] [--expect N]\n", program);
    return 2;
}

static int parse(int argc, char **argv, struct options *options) {
    int i;
    for (i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--language") == 0) options->language = value;
        else if (strcmp(argv[i], "--seeds") == 0) options->seeds = value;
        else if (strcmp(argv[i], "--seconds") == 0) options->seconds = strtod(value, NULL);
        else if (strcmp(argv[i], "--print-address") == 0) options->print_address = value;
        else if (strcmp(argv[i], "--expect") == 0) options->expect = (size_t)strtoul(value, NULL, 10);
        else return 0;
    }
    return i == argc;
}

/* ---- the node ---- */

static int complain(const char *what, gossip_status status, const char *message) {
    fprintf(stderr, "demo: %s: %s: %s\n", what, gossip_status_name(status), message[0] != '\0' ? message : gossip_status_text(status));
    return 0;
}

static int open_node(const struct options *options, gossip_node *node) {
    char message[GOSSIP_ERRBUF] = "", tags[512];
    const char *const settings[][2] = {
        {"cluster", "demo"}, {"bind", "127.0.0.1:0"}, {"tags", tags}, {"seeds", options->seeds}};
    gossip_config config;
    gossip_status status = gossip_config_new(&config);
    size_t i;
    if (status != GOSSIP_OK) return complain("a configuration", status, message);
    snprintf(tags, sizeof tags, "language=%s", options->language);
    for (i = 0; i < sizeof settings / sizeof *settings && status == GOSSIP_OK; ++i)
        status = gossip_config_set(config, settings[i][0], settings[i][1], message, sizeof message);
    if (status == GOSSIP_OK) status = gossip_open(config, node, message, sizeof message);
    gossip_config_free(config);
    return status == GOSSIP_OK || complain("opening a node", status, message);
}

/* Whoever waits for the file finds all of the address or no file. */
static int write_address(gossip_node node, const char *path) {
    gossip_members *self = NULL;
    char temporary[4096];
    FILE *file;
    int written;
    const gossip_status status = gossip_self(node, &self);
    if (status != GOSSIP_OK) return complain("the node's own address", status, "");
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    file = fopen(temporary, "w");
    written = file != NULL && fprintf(file, "%s\n", gossip_member_address(gossip_members_at(self, 0), NULL)) > 0;
    if (file != NULL && fclose(file) != 0) written = 0;
    gossip_members_free(self);
    if (written && rename(temporary, path) == 0) return 1;
    fprintf(stderr, "demo: cannot write %s: %s\n", path, strerror(errno));
    return 0;
}

static int greet(gossip_node node, const char *language) {
    char message[GOSSIP_ERRBUF], text[512];
    gossip_status status;
    snprintf(text, sizeof text, "Hello from %s", language);
    status = gossip_set_text(node, "demo:greeting", GOSSIP_NUL, text, strlen(text), message, sizeof message);
    return status == GOSSIP_OK || complain("setting demo:greeting", status, message);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Counts until the time is over or one of the signals, which are blocked, is there. */
static int count(gossip_node node, double seconds, const sigset_t *ends) {
    char message[GOSSIP_ERRBUF];
    const int64_t end = now_ms() + (int64_t)(seconds * 1000);
    int64_t counter = 0, next = now_ms();
    while (next < end) {
        int64_t pause;
        struct timespec wait;
        const gossip_status status = gossip_set_int(node, "demo:counter", GOSSIP_NUL, ++counter, message, sizeof message);
        if (status != GOSSIP_OK) return complain("setting demo:counter", status, message);
        next += TICK_MS;
        pause = next - now_ms();
        if (pause < 0) pause = 0;
        wait.tv_sec = (time_t)(pause / 1000);
        wait.tv_nsec = (long)(pause % 1000) * 1000000;
        if (sigtimedwait(ends, NULL, &wait) >= 0) break;
    }
    return 1;
}

int main(int argc, char **argv) {
    struct options options = {"C", "", NULL, 15.0, 1};
    gossip_node node = {0};
    gossip_sub following = {0};
    gossip_status status;
    sigset_t ends;
    size_t whole;
    int good;

    if (!parse(argc, argv, &options)) return usage(argv[0]);
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    if (!open_node(&options, &node)) return 1;
    status = gossip_subscribe(node, GOSSIP_EVENTS_ENTRIES, NULL, "demo:", GOSSIP_NUL, GOSSIP_SUB_INITIAL | GOSSIP_SUB_PREFIX, on_change,
                              NULL, NULL, &following);
    good = status == GOSSIP_OK || complain("subscribing", status, "");
    good = good && greet(node, options.language);
    good = good && (options.print_address == NULL || write_address(node, options.print_address));
    good = good && count(node, options.seconds, &ends);

    /* Says goodbye, so that the others need not find out; then no callback runs any more. Nobody may be left to answer. */
    status = gossip_leave(node, LEAVE_MS);
    if (status != GOSSIP_OK && status != GOSSIP_ERR_TIMEOUT) good = complain("leaving", status, "");
    status = gossip_close(node);
    if (status != GOSSIP_OK) good = complain("closing", status, "");

    whole = whole_members();
    printf("saw the greeting and the counter of %zu of %zu members\n", whole, options.expect);
    return good && whole >= options.expect ? 0 : 1;
}
