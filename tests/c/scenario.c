/* Runs tests/scenario.txt, which is given as the first argument and explains itself, through the C interface with queues. */
#include "check.h"

enum { MOST_NODES = 16, MOST_SUBS = 16, MOST_WORDS = 16 };

typedef struct word {
    char text[512];
    size_t len;
} word;

static struct {
    char name[32];
    gossip_node node;
} nodes[MOST_NODES];

static struct {
    char name[32];
    gossip_sub sub;
    gossip_queue queue;
} subs[MOST_SUBS];

static word words[MOST_WORDS];
static size_t word_count;
static int line_number;
static char problem[1024]; /* why the step was not done, for people */

/* The step cannot be right: the scenario, or this program, is wrong. */
static void malformed(const char *why) {
    printf("# line %d: %s\n0 passed, 1 failed, 0 skipped\n", line_number, why);
    exit(1);
}

/* ---- words ---- */

static int hex(int digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    malformed("not a hexadecimal digit");
    return 0;
}

static void split(const char *line) {
    word_count = 0;
    while (*line != '\0' && *line != '\n') {
        word *w;
        if (word_count == MOST_WORDS) malformed("too many words");
        w = &words[word_count++];
        w->len = 0;
        for (; *line != ' ' && *line != '\0' && *line != '\n'; ++line) {
            if (w->len + 1 >= sizeof w->text) malformed("a word is too long");
            if (*line == '%') {
                w->text[w->len++] = (char)(hex(line[1]) << 4 | hex(line[2]));
                line += 2;
            } else {
                w->text[w->len++] = *line;
            }
        }
        w->text[w->len] = '\0';
        if (*line == ' ') ++line;
    }
}

static const word *at(size_t index) {
    static const word none = {"", 0};
    return index < word_count ? &words[index] : &none;
}
static int is(const word *w, const char *text) { return strcmp(w->text, text) == 0; }
/* "-" stands for nothing, which is the empty text. */
static const char *or_empty(const word *w) { return is(w, "-") ? "" : w->text; }
static size_t or_zero(const word *w) { return is(w, "-") ? 0 : w->len; }

static int number_of(const char *const *names, const char *text) {
    int i;
    for (i = 0; names[i] != NULL; ++i)
        if (strcmp(names[i], text) == 0) return i + 1;
    malformed("an unknown name");
    return 0;
}

static int status_of(const char *text) {
    static const char *const names[] = {"alive", "suspect", "dead", "leaving", "left", "banned", NULL};
    return number_of(names, text);
}

static int state_of(const char *text) {
    static const char *const names[] = {"starting", "joined", "alone", "leaving", "left", "banned", "failed", NULL};
    return number_of(names, text);
}

/* ---- nodes and subscriptions by name ---- */

static gossip_node node_named(const char *name) {
    int i;
    for (i = 0; i < MOST_NODES; ++i)
        if (strcmp(nodes[i].name, name) == 0) return nodes[i].node;
    malformed("no such node");
    return (gossip_node){0};
}

static void keep_node(const char *name, gossip_node node) {
    int i;
    for (i = 0; i < MOST_NODES; ++i) {
        if (nodes[i].name[0] != '\0') continue;
        snprintf(nodes[i].name, sizeof nodes[i].name, "%.31s", name);
        nodes[i].node = node;
        return;
    }
    malformed("too many nodes");
}

static int sub_named(const char *name) {
    int i;
    for (i = 0; i < MOST_SUBS; ++i)
        if (strcmp(subs[i].name, name) == 0) return i;
    malformed("no such subscription");
    return 0;
}

/* ---- values ---- */

typedef struct value {
    int32_t kind; /* GOSSIP_VALUE_* */
    const char *type_url;
    uint8_t bytes[512];
    size_t len;
    int32_t flag;
    int64_t integer;
    double number;
} value;

static value value_of(const word *kind, const word *text) {
    value v;
    size_t i;
    memset(&v, 0, sizeof v);
    v.type_url = "";
    if (is(kind, "bytes") || strncmp(kind->text, "message:", 8) == 0) {
        v.kind = is(kind, "bytes") ? GOSSIP_VALUE_BYTES : GOSSIP_VALUE_MESSAGE;
        if (v.kind == GOSSIP_VALUE_MESSAGE) v.type_url = kind->text + 8;
        v.len = or_zero(text) / 2;
        for (i = 0; i < v.len; ++i) v.bytes[i] = (uint8_t)(hex(text->text[2 * i]) << 4 | hex(text->text[2 * i + 1]));
    } else if (is(kind, "text")) {
        v.kind = GOSSIP_VALUE_TEXT;
        v.len = or_zero(text);
        memcpy(v.bytes, text->text, v.len);
    } else if (is(kind, "bool")) {
        v.kind = GOSSIP_VALUE_BOOL;
        v.flag = is(text, "true");
        if (!v.flag && !is(text, "false")) malformed("not true or false");
    } else if (is(kind, "int")) {
        v.kind = GOSSIP_VALUE_INT;
        v.integer = strtoll(text->text, NULL, 10);
    } else if (is(kind, "double")) {
        v.kind = GOSSIP_VALUE_DOUBLE;
        v.number = strtod(text->text, NULL);
    } else {
        malformed("an unknown kind of value");
    }
    return v;
}

static int same(const gossip_entry *entry, const value *want) {
    size_t len = 0;
    const void *found;
    int32_t flag = 0;
    int64_t integer = 0;
    double number = 0;
    if (gossip_entry_value_kind(entry) != want->kind) return 0;
    switch (want->kind) {
        case GOSSIP_VALUE_TEXT:
            found = gossip_entry_text(entry, &len);
            return found != NULL && len == want->len && memcmp(found, want->bytes, len) == 0;
        case GOSSIP_VALUE_BOOL: return gossip_entry_bool(entry, &flag) == GOSSIP_OK && flag == want->flag;
        case GOSSIP_VALUE_INT: return gossip_entry_int(entry, &integer) == GOSSIP_OK && integer == want->integer;
        case GOSSIP_VALUE_DOUBLE:
            return gossip_entry_double(entry, &number) == GOSSIP_OK && memcmp(&number, &want->number, sizeof number) == 0;
        default:
            found = gossip_entry_value(entry, &len);
            return strcmp(gossip_entry_type_url(entry, NULL), want->type_url) == 0 && len == want->len &&
                   memcmp(found, want->bytes, len) == 0;
    }
}

static gossip_status set_value(gossip_node node, const word *key, const value *v, int64_t ttl_ms, uint32_t flags, uint64_t *seq) {
    const void *data = v->bytes;
    size_t len = v->len;
    const uint8_t flag = (uint8_t)v->flag;
    if (v->kind == GOSSIP_VALUE_BOOL) data = &flag, len = 1;
    if (v->kind == GOSSIP_VALUE_INT) data = &v->integer, len = 8;
    if (v->kind == GOSSIP_VALUE_DOUBLE) data = &v->number, len = 8;
    if (v->kind == GOSSIP_VALUE_MESSAGE)
        return gossip_set_with(node, or_empty(key), or_zero(key), v->type_url, data, len, ttl_ms, flags, seq, problem, sizeof problem);
    return gossip_set_plain(node, or_empty(key), or_zero(key), v->kind, data, len, ttl_ms, flags, seq, problem, sizeof problem);
}

/* ---- steps: each answers the library's status; "not yet" is GOSSIP_ERR_TIMEOUT ---- */

static gossip_status yes(int holds) { return holds ? GOSSIP_OK : GOSSIP_ERR_TIMEOUT; }

static gossip_status step_open(void) {
    char settings[2048] = "", address[128];
    size_t i, used = 0;
    gossip_node node = {0};
    gossip_status status;
    for (i = 2; i < word_count; ++i) {
        /* "seeds=@a": the address of node a. */
        const char *name = strstr(at(i)->text, "=@");
        if (name != NULL) address_of(node_named(name + 2), address, sizeof address);
        used += (size_t)snprintf(settings + used, sizeof settings - used, "%.*s%s\n",
                                 (int)(name != NULL ? (size_t)(name + 1 - at(i)->text) : at(i)->len), at(i)->text,
                                 name != NULL ? address : "");
    }
    status = gossip_open_text(settings, &node, problem, sizeof problem);
    if (status == GOSSIP_OK) keep_node(at(1)->text, node);
    return status;
}

static gossip_status step_member(void) {
    gossip_members *list = NULL;
    size_t i;
    int found = 0;
    const int want = status_of(at(3)->text);
    const gossip_status status = gossip_members_get(node_named(at(1)->text), GOSSIP_GET_DEPARTED, &list);
    if (status != GOSSIP_OK) return status;
    for (i = 0; i < gossip_members_len(list); ++i)
        if (is(at(2), gossip_member_id(gossip_members_at(list, i), NULL)))
            found = gossip_member_status(gossip_members_at(list, i)) == want;
    gossip_members_free(list);
    return yes(found);
}

static gossip_status step_state(void) {
    int32_t state = 0;
    const gossip_status status = gossip_state(node_named(at(1)->text), &state);
    return status != GOSSIP_OK ? status : yes(state == state_of(at(2)->text));
}

static gossip_status step_subscribe(void) {
    uint32_t what = 0, flags = 0;
    const char *flag_text = at(6)->text;
    gossip_status status;
    int i;
    for (i = 0; i < MOST_SUBS && subs[i].name[0] != '\0'; ++i) {
    }
    if (i == MOST_SUBS) malformed("too many subscriptions");
    if (is(at(3), "entries")) what = GOSSIP_EVENTS_ENTRIES;
    else if (is(at(3), "members")) what = GOSSIP_EVENTS_MEMBERS;
    else if (is(at(3), "node")) what = GOSSIP_EVENTS_NODE;
    else if (is(at(3), "all")) what = GOSSIP_EVENTS_ALL;
    else malformed("unknown kinds of event");
    if (strstr(flag_text, "initial") != NULL) flags |= GOSSIP_SUB_INITIAL;
    if (strstr(flag_text, "no_self") != NULL) flags |= GOSSIP_SUB_NO_SELF;
    if (strstr(flag_text, "prefix") != NULL) flags |= GOSSIP_SUB_PREFIX;
    snprintf(subs[i].name, sizeof subs[i].name, "%.31s", at(2)->text);
    status = gossip_queue_new(0, &subs[i].queue);
    if (status != GOSSIP_OK) return status;
    return gossip_subscribe_queue(node_named(at(1)->text), what, is(at(4), "-") ? NULL : at(4)->text,
                                  is(at(5), "-") ? NULL : at(5)->text, or_zero(at(5)), flags, subs[i].queue, (uint64_t)i, &subs[i].sub);
}

static gossip_status step_set(uint32_t flags, int64_t ttl_ms, int must_stay) {
    const gossip_node node = node_named(at(1)->text);
    const value v = value_of(at(3), at(4));
    gossip_entries *before = NULL;
    uint64_t seq = 0, stays = 0;
    gossip_status status;
    if (must_stay) {
        status = gossip_get_own(node, at(2)->text, at(2)->len, &before);
        if (status != GOSSIP_OK) return status;
        stays = gossip_entry_seq(gossip_entries_at(before, 0));
        gossip_entries_free(before);
    }
    status = set_value(node, at(2), &v, ttl_ms, flags, &seq);
    if (status == GOSSIP_OK && must_stay && seq != stays) malformed("the sequence number changed");
    return status;
}

static gossip_status read_one(gossip_entries **list) {
    const gossip_node node = node_named(at(1)->text);
    if (is(at(2), "own")) return gossip_get_own(node, at(3)->text, at(3)->len, list);
    return gossip_get(node, at(2)->text, at(3)->text, at(3)->len, 0, list);
}

static gossip_status step_get(void) {
    const value want = value_of(at(4), at(5));
    gossip_entries *list = NULL;
    int found;
    const gossip_status status = read_one(&list);
    if (status != GOSSIP_OK) return status;
    found = gossip_entries_len(list) == 1 && same(gossip_entries_at(list, 0), &want);
    gossip_entries_free(list);
    return yes(found);
}

static gossip_status step_gone(void) {
    gossip_entries *list = NULL;
    size_t count;
    const gossip_status status = read_one(&list);
    if (status != GOSSIP_OK) return status;
    count = gossip_entries_len(list);
    gossip_entries_free(list);
    return yes(count == 0);
}

static gossip_status step_count(void) {
    gossip_entries *list = NULL;
    size_t count;
    const gossip_status status = gossip_get(node_named(at(1)->text), NULL, at(2)->text, at(2)->len, 0, &list);
    if (status != GOSSIP_OK) return status;
    count = gossip_entries_len(list);
    gossip_entries_free(list);
    return yes(count == (size_t)atol(at(3)->text));
}

static int event_fits(const gossip_event *event) {
    static const struct {
        const char *name;
        uint32_t kind;
    } kinds[] = {{"entry_changed", GOSSIP_EVENT_ENTRY_CHANGED}, {"entry_deleted", GOSSIP_EVENT_ENTRY_DELETED},
                 {"member_joined", GOSSIP_EVENT_MEMBER_JOINED}, {"member_left", GOSSIP_EVENT_MEMBER_LEFT},
                 {"member_updated", GOSSIP_EVENT_MEMBER_UPDATED}, {"member_dead", GOSSIP_EVENT_MEMBER_DEAD},
                 {"member_banned", GOSSIP_EVENT_MEMBER_BANNED}, {"member_unbanned", GOSSIP_EVENT_MEMBER_UNBANNED},
                 {"topology", GOSSIP_EVENT_TOPOLOGY}, {"initial_done", GOSSIP_EVENT_INITIAL_DONE},
                 {"closed", GOSSIP_EVENT_CLOSED}, {NULL, 0}};
    const gossip_entry *entry = gossip_event_entry(event);
    const gossip_member *member = gossip_event_member(event);
    const char *who = entry != NULL ? gossip_entry_member(entry, NULL) : member != NULL ? gossip_member_id(member, NULL) : "";
    size_t i, len = 0;
    const char *key;
    for (i = 0; kinds[i].name != NULL && !is(at(2), kinds[i].name); ++i) {
    }
    if (kinds[i].name == NULL) malformed("an unknown kind of event");
    if (gossip_event_kind(event) != kinds[i].kind) return 0;
    if (kinds[i].kind == GOSSIP_EVENT_TOPOLOGY) {
        const char *hash = gossip_event_text(event, &len);
        if (len != 16 || strspn(hash, "0123456789abcdef") != 16) malformed("the hash of a topology is 16 hex digits");
        return gossip_event_code(event) == atol(at(3)->text);
    }
    if (word_count > 3 && !is(at(3), who)) return 0;
    if (word_count > 4) {
        key = gossip_entry_key(entry, &len);
        if (len != at(4)->len || memcmp(key, at(4)->text, len) != 0) return 0;
    }
    if (word_count > 6) {
        const value want = value_of(at(5), at(6));
        if (!same(entry, &want)) return 0;
    }
    return 1;
}

static gossip_status step_event(void) {
    gossip_events *events = NULL;
    int fits;
    const gossip_status status = gossip_queue_take(subs[sub_named(at(1)->text)].queue, 1, 100, &events);
    if (status != GOSSIP_OK) return status;
    fits = event_fits(gossip_events_at(events, 0));
    gossip_events_free(events);
    return yes(fits);
}

/* ---- bans and statistics ---- */

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The list is [{"by":"a","id":"b"},...], and no id of the scenario needs an escape. Both sides are sorted "id:by". */
static gossip_status step_bans(void) {
    gossip_bytes *bytes = NULL;
    char have[MOST_WORDS][64], *sorted[MOST_WORDS], *wanted[MOST_WORDS];
    size_t count = 0, i;
    const char *json;
    int same_bans;
    const gossip_status status = gossip_bans(node_named(at(1)->text), &bytes);
    if (status != GOSSIP_OK) return status;
    json = (const char *)gossip_bytes_data(bytes, NULL);
    while ((json = strchr(json, '{')) != NULL && count < MOST_WORDS) {
        const char *id = strstr(json, "\"id\":\""), *by = strstr(json, "\"by\":\"");
        if (id == NULL || by == NULL) malformed("a ban without an id, or without its banner");
        id += 6, by += 6;
        snprintf(have[count], sizeof have[count], "%.*s:%.*s", (int)strcspn(id, "\""), id, (int)strcspn(by, "\""), by);
        sorted[count] = have[count];
        ++count, ++json;
    }
    gossip_bytes_free(bytes);
    if (count != word_count - 2) return yes(0);
    for (i = 0; i < count; ++i) wanted[i] = words[i + 2].text;
    qsort(sorted, count, sizeof *sorted, compare_texts);
    qsort(wanted, count, sizeof *wanted, compare_texts);
    for (same_bans = 1, i = 0; i < count; ++i) same_bans = same_bans && strcmp(sorted[i], wanted[i]) == 0;
    return yes(same_bans);
}

static gossip_status step_statistic(void) {
    const gossip_node node = node_named(at(1)->text);
    if (is(at(3), "-")) return gossip_statistic_delete(node, or_empty(at(2)), problem, sizeof problem);
    return gossip_statistic_set(node, or_empty(at(2)), strtoll(at(3)->text, NULL, 10), problem, sizeof problem);
}

typedef struct message {
    const uint8_t *data;
    size_t len;
} message;

static uint64_t varint(message *m) {
    uint64_t number = 0;
    unsigned shift = 0;
    while (m->len > 0) {
        const uint8_t byte = *m->data++;
        --m->len;
        if (shift < 64) number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return number;
        shift += 7;
    }
    malformed("a heartbeat ends within a number");
    return 0;
}

/* What stands behind a tag of wire type 2, the only one in a heartbeat but for the number of a statistic. */
static message part_of(message *m) {
    message inner;
    inner.len = (size_t)varint(m);
    inner.data = m->data;
    if (inner.len > m->len) malformed("a heartbeat ends within a part");
    m->data += inner.len, m->len -= inner.len;
    return inner;
}

/* The message cluster.MemberHeartbeat { actor_statistics = 1: { actor_count = 1: map<string, int64> } }, read by hand: programs
 * in C have a protobuf library for it. */
static int statistic_of(message beat, const word *name, int64_t *value) {
    while (beat.len > 0) {
        message statistics;
        if (varint(&beat) != (1 << 3 | 2)) malformed("an unknown field in a heartbeat");
        statistics = part_of(&beat);
        while (statistics.len > 0) {
            message pair, key = {NULL, 0};
            uint64_t number = 0;
            if (varint(&statistics) != (1 << 3 | 2)) malformed("an unknown field in the statistics");
            pair = part_of(&statistics);
            while (pair.len > 0) {
                const uint64_t tag = varint(&pair);
                if (tag == (1 << 3 | 2)) key = part_of(&pair);
                else if (tag == 2 << 3) number = varint(&pair);
                else malformed("an unknown field in a statistic");
            }
            if (key.len != name->len || memcmp(key.data, name->text, key.len) != 0) continue;
            *value = (int64_t)number;
            return 1;
        }
    }
    return 0;
}

static gossip_status step_heartbeat(void) {
    gossip_entries *list = NULL;
    const gossip_entry *entry;
    message beat;
    int64_t value = 0;
    int found = 0;
    const gossip_status status = gossip_get(node_named(at(1)->text), at(2)->text, "cluster:heartbeat", GOSSIP_NUL, 0, &list);
    if (status != GOSSIP_OK) return status;
    entry = gossip_entries_at(list, 0);
    if (entry != NULL) {
        if (strcmp(gossip_entry_type_url(entry, NULL), "type.googleapis.com/cluster.MemberHeartbeat") != 0)
            malformed("a heartbeat of another type");
        beat.data = gossip_entry_value(entry, &beat.len);
        found = statistic_of(beat, at(3), &value);
    }
    gossip_entries_free(list);
    return yes(is(at(4), "-") ? entry != NULL && !found : found && value == strtoll(at(4)->text, NULL, 10));
}

/* Waits as long as the setting leave_timeout allows. That not enough have acknowledged by then is an end too: among those
 * that are asked may be one that was killed before. */
static gossip_status leave(gossip_node node) {
    const gossip_status status = gossip_leave(node, -1);
    return status == GOSSIP_ERR_TIMEOUT ? GOSSIP_OK : status;
}

static gossip_status close_politely(gossip_node node) {
    (void)leave(node);
    return gossip_close(node);
}

static gossip_status step(void) {
    const word *verb = at(0);
    if (is(verb, "open")) return step_open();
    if (is(verb, "wait_members")) return gossip_wait_for_members(node_named(at(1)->text), (size_t)atol(at(2)->text), 100);
    if (is(verb, "synced")) return gossip_wait_synced(node_named(at(1)->text), 100);
    if (is(verb, "state")) return step_state();
    if (is(verb, "member")) return step_member();
    if (is(verb, "subscribe")) return step_subscribe();
    if (is(verb, "set")) return step_set(0, 0, 0);
    if (is(verb, "set_same")) return step_set(GOSSIP_SET_IF_CHANGED, 0, 1);
    if (is(verb, "set_ttl")) return step_set(0, atol(at(5)->text), 0);
    if (is(verb, "delete")) return gossip_delete(node_named(at(1)->text), at(2)->text, at(2)->len);
    if (is(verb, "get")) return step_get();
    if (is(verb, "gone")) return step_gone();
    if (is(verb, "count")) return step_count();
    if (is(verb, "event")) return step_event();
    if (is(verb, "unsubscribe")) return gossip_unsubscribe(subs[sub_named(at(1)->text)].sub);
    if (is(verb, "reconfigure"))
        return gossip_reconfigure(node_named(at(1)->text), at(2)->text, at(3)->text, problem, sizeof problem);
    if (is(verb, "ban")) return gossip_ban(node_named(at(1)->text), or_empty(at(2)), problem, sizeof problem);
    if (is(verb, "unban")) return gossip_unban(node_named(at(1)->text), or_empty(at(2)), problem, sizeof problem);
    if (is(verb, "bans")) return step_bans();
    if (is(verb, "statistic")) return step_statistic();
    if (is(verb, "heartbeat")) return step_heartbeat();
    if (is(verb, "leave")) return leave(node_named(at(1)->text));
    if (is(verb, "kill")) return gossip_close(node_named(at(1)->text));
    if (is(verb, "close")) return close_politely(node_named(at(1)->text));
    malformed("an unknown step");
    return GOSSIP_OK;
}

/* Does a step, "until" it holds where it is one that waits. 1: done. */
static int run(const char *line) {
    const int64_t end = check_now_ms() + PATIENCE_MS;
    const char *want = "GOSSIP_OK";
    char wanted[64];
    gossip_status status;
    problem[0] = '\0';
    split(line);
    if (is(at(0), "fails")) {
        snprintf(wanted, sizeof wanted, "%.63s", at(1)->text);
        want = wanted;
        memmove(words, words + 2, sizeof words - 2 * sizeof *words);
        word_count -= 2;
        status = step();
    } else {
        while ((status = step()) == GOSSIP_ERR_TIMEOUT && check_now_ms() < end) check_pause();
    }
    if (strcmp(gossip_status_name(status), want) == 0) return 1;
    printf("# line %d: %s, not %s %s\n", line_number, gossip_status_name(status), want, problem);
    return 0;
}

int main(int argc, char **argv) {
    char line[2048];
    FILE *file;
    int i;
    if (argc != 2 || (file = fopen(argv[1], "r")) == NULL) {
        fprintf(stderr, "usage: %s SCENARIO\n", argv[0]);
        return 2;
    }
    while (check_failed == 0 && fgets(line, sizeof line, file) != NULL) {
        ++line_number;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#') continue;
        if (run(line)) ++check_passed;
        else ++check_failed;
        printf("%s %s\n", check_failed ? "FAIL" : "ok  ", line);
        fflush(stdout);
    }
    fclose(file);
    for (i = 0; i < MOST_SUBS; ++i)
        if (subs[i].name[0] != '\0') (void)gossip_queue_free(subs[i].queue);
    if (check_passed == 0) malformed("the scenario is empty");
    return check_end();
}
