/* Bans, statistics, topology, and what a crash looks like: gossip_ban and its neighbours. */
#include "check.h"

/* Opens a second node in the cluster of the first. */
static gossip_node join_node(gossip_node first, const char *cluster, const char *id) {
    char address[128];
    address_of(first, address, sizeof address);
    return open_node(cluster, id, address);
}

/* GOSSIP_MEMBER_* of a member as the node has it, departed or not; 0 where it is not known. */
static int32_t status_at(gossip_node node, const char *id) {
    gossip_members *members = NULL;
    int32_t status = 0;
    size_t i;
    if (gossip_members_get(node, GOSSIP_GET_DEPARTED, &members) != GOSSIP_OK) return 0;
    for (i = 0; i < gossip_members_len(members); ++i)
        if (strcmp(gossip_member_id(gossip_members_at(members, i), NULL), id) == 0)
            status = gossip_member_status(gossip_members_at(members, i));
    gossip_members_free(members);
    return status;
}

static int32_t state_of(gossip_node node) {
    int32_t state = 0;
    (void)gossip_state(node, &state);
    return state;
}

/* 1 where the bans of the node, as JSON, are this text. */
static int bans_are(gossip_node node, const char *json) {
    gossip_bytes *bytes = NULL;
    size_t len = 0;
    int same;
    const uint8_t *data;
    if (gossip_bans(node, &bytes) != GOSSIP_OK) return 0;
    data = gossip_bytes_data(bytes, &len);
    same = len == strlen(json) && memcmp(data, json, len) == 0;
    if (!same) printf("#    bans: %s\n", (const char *)data);
    gossip_bytes_free(bytes);
    return same;
}

/* How many entries there are under keys that begin so. */
static size_t entries_under(gossip_node node, const char *prefix) {
    gossip_entries *entries = NULL;
    size_t count;
    if (gossip_get(node, NULL, prefix, GOSSIP_NUL, GOSSIP_GET_PREFIX, &entries) != GOSSIP_OK) return SIZE_MAX;
    count = gossip_entries_len(entries);
    gossip_entries_free(entries);
    return count;
}

/* ---- careless callers ---- */

TEST(null_where_none_may_be_is_an_invalid_argument) {
    const gossip_status bad = GOSSIP_ERR_INVALID_ARGUMENT;
    const gossip_node node = open_node("c-cluster", "own", NULL);
    CHECK_STILL();
    CHECK_STATUS(gossip_ban(node, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_unban(node, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_bans(node, NULL), bad);
    CHECK_STATUS(gossip_statistic_set(node, NULL, 1, NULL, 0), bad);
    CHECK_STATUS(gossip_statistic_delete(node, NULL, NULL, 0), bad);
    CHECK(bans_are(node, "[]"));
    CHECK_OK(gossip_close(node));
}

TEST(names_and_ids_are_1_to_255_bytes_of_utf8) {
    char message[GOSSIP_ERRBUF], longest[257];
    size_t i;
    const gossip_node node = open_node("c-cluster", "own", NULL);
    const struct {
        const char *text;
        gossip_status want;
    } rows[] = {
        {"", GOSSIP_ERR_INVALID_ARGUMENT},
        {longest, GOSSIP_ERR_INVALID_ARGUMENT},  /* 256 bytes */
        {longest + 1, GOSSIP_OK},                /* 255 */
        {"\xff", GOSSIP_ERR_INVALID_ARGUMENT},
        {"\xc3", GOSSIP_ERR_INVALID_ARGUMENT},   /* a character's first half */
        {"gr\xc3\xb6\xc3\x9f" "e", GOSSIP_OK},
    };
    CHECK_STILL();
    memset(longest, 'n', sizeof longest);
    longest[256] = '\0';
#define TELLS(call)                                                   \
    do {                                                              \
        memset(message, 'x', sizeof message);                         \
        CHECK_STATUS(call, rows[i].want);                             \
        CHECK(memchr(message, '\0', sizeof message) != NULL);         \
        CHECK((message[0] == '\0') == (rows[i].want == GOSSIP_OK));   \
    } while (0)
    for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
        TELLS(gossip_ban(node, rows[i].text, message, sizeof message));
        TELLS(gossip_statistic_set(node, rows[i].text, 1, message, sizeof message));
        TELLS(gossip_statistic_delete(node, rows[i].text, message, sizeof message));
        /* The second time nobody is banned. */
        TELLS(gossip_unban(node, rows[i].text, message, sizeof message));
        TELLS(gossip_unban(node, rows[i].text, message, sizeof message));
    }
    CHECK(bans_are(node, "[]"));
    CHECK_OK(gossip_close(node));
}

TEST(a_node_cannot_ban_itself) {
    char message[GOSSIP_ERRBUF], few[8];
    const gossip_node node = open_node("c-cluster", "own", NULL);
    CHECK_STILL();
    CHECK_STATUS(gossip_ban(node, "own", message, sizeof message), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK(strstr(message, "itself") != NULL);
    memset(few, 'x', sizeof few);
    CHECK_STATUS(gossip_ban(node, "own", few, sizeof few), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK(memchr(few, '\0', sizeof few) != NULL && few[0] != '\0');
    CHECK_STATUS(gossip_ban(node, "own", NULL, 0), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK(bans_are(node, "[]"));
    CHECK_OK(gossip_unban(node, "own", message, sizeof message));
    CHECK_OK(gossip_close(node));
}

TEST(a_node_that_has_left_bans_nobody) {
    char message[GOSSIP_ERRBUF];
    const gossip_node node = open_node("c-cluster", "own", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_ban(node, "x", message, sizeof message));
    CHECK_OK(gossip_leave(node, -1));
    CHECK_STATUS(gossip_ban(node, "y", message, sizeof message), GOSSIP_ERR_LEFT);
    CHECK(message[0] != '\0');
    CHECK_STATUS(gossip_unban(node, "x", message, sizeof message), GOSSIP_ERR_LEFT);
    CHECK(bans_are(node, "[{\"by\":\"own\",\"id\":\"x\"}]"));
    CHECK_OK(gossip_close(node));
}

TEST(a_host_has_at_most_1024_statistics) {
    char name[32], message[GOSSIP_ERRBUF] = "";
    int i;
    const gossip_node node = open_node("c-cluster", "own", NULL);
    CHECK_STILL();
    for (i = 0; i < 1024; ++i) {
        snprintf(name, sizeof name, "statistic %d", i);
        CHECK_OK(gossip_statistic_set(node, name, i, message, sizeof message));
    }
    CHECK_STATUS(gossip_statistic_set(node, "one more", 1, message, sizeof message), GOSSIP_ERR_LIMIT);
    CHECK(strstr(message, "1024") != NULL && strstr(message, "1025") != NULL);
    /* What exists may change; what is deleted makes room. */
    CHECK_OK(gossip_statistic_set(node, "statistic 5", INT64_MIN, message, sizeof message));
    CHECK_OK(gossip_statistic_delete(node, "one more", message, sizeof message));
    CHECK_OK(gossip_statistic_delete(node, "statistic 5", message, sizeof message));
    CHECK_OK(gossip_statistic_set(node, "one more", INT64_MAX, message, sizeof message));
    CHECK_STATUS(gossip_statistic_set(node, "statistic 5", 1, message, sizeof message), GOSSIP_ERR_LIMIT);
    CHECK_OK(gossip_close(node));
}

/* ---- what they do ---- */

TEST(a_ban_is_heeded_by_all_and_lifted_by_any) {
    const gossip_node a = open_node("c-ban", "a", NULL);
    gossip_node b;
    CHECK_STILL();
    b = join_node(a, "c-ban", "b");
    CHECK_STILL();
    CHECK_OK(gossip_wait_for_members(a, 2, PATIENCE_MS));
    CHECK_OK(gossip_wait_for_members(b, 2, PATIENCE_MS));
    CHECK_OK(set_text(b, "k", "seen"));
    CHECK(UNTIL(reads_text(a, "b", "k", "seen")));
    CHECK_OK(gossip_ban(a, "b", NULL, 0));
    CHECK_OK(gossip_ban(a, "b", NULL, 0));
    /* Its own bans a node knows at once. */
    CHECK(bans_are(a, "[{\"by\":\"a\",\"id\":\"b\"}]"));
    CHECK_EQ(status_at(a, "b"), GOSSIP_MEMBER_BANNED);
    CHECK(!reads_text(a, "b", "k", "seen"));
    CHECK(UNTIL(state_of(b) == GOSSIP_STATE_BANNED));
    CHECK_STATUS(set_text(b, "k", "no"), GOSSIP_ERR_BANNED);
    CHECK_OK(gossip_unban(b, "b", NULL, 0));
    CHECK(UNTIL(status_at(a, "b") == GOSSIP_MEMBER_ALIVE));
    CHECK(UNTIL(state_of(b) == GOSSIP_STATE_JOINED));
    CHECK(bans_are(a, "[]") && bans_are(b, "[]"));
    CHECK(reads_text(a, "b", "k", "seen"));
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
}

TEST(a_killed_member_is_told_dead_and_the_topology_changes) {
    static const uint32_t kinds = GOSSIP_EVENT_MEMBER_JOINED | GOSSIP_EVENT_MEMBER_DEAD | GOSSIP_EVENT_TOPOLOGY;
    gossip_queue queue = {0};
    gossip_sub sub = {0};
    char two[32] = "", one[32] = "";
    int dead = 0, joined = 0;
    const int64_t end = check_now_ms() + PATIENCE_MS;
    const gossip_node a = open_node("c-kill", "a", NULL);
    gossip_node b;
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_subscribe_queue(a, kinds, NULL, NULL, 0, GOSSIP_SUB_NO_SELF, queue, 0, &sub));
    b = join_node(a, "c-kill", "b");
    CHECK_STILL();
    CHECK_OK(set_text(b, "k", "seen"));
    CHECK(UNTIL(reads_text(a, "b", "k", "seen")));
    while (one[0] == '\0') {
        gossip_events *events = NULL;
        const gossip_event *event;
        size_t len = 0;
        CHECK(check_now_ms() < end);
        if (gossip_queue_take(queue, 1, 100, &events) != GOSSIP_OK) continue;
        event = gossip_events_at(events, 0);
        switch (gossip_event_kind(event)) {
            case GOSSIP_EVENT_MEMBER_JOINED: ++joined; break;
            case GOSSIP_EVENT_MEMBER_DEAD:
                CHECK_TEXT(gossip_member_id(gossip_event_member(event), NULL), "b");
                CHECK_EQ(gossip_member_status(gossip_event_member(event)), GOSSIP_MEMBER_DEAD);
                ++dead;
                break;
            default:
                CHECK_EQ(gossip_event_kind(event), GOSSIP_EVENT_TOPOLOGY);
                CHECK_EQ(strspn(gossip_event_text(event, &len), "0123456789abcdef"), 16);
                CHECK_EQ(len, 16);
                CHECK(gossip_event_entry(event) == NULL && gossip_event_member(event) == NULL);
                if (gossip_event_code(event) == 2 && two[0] == '\0') {
                    snprintf(two, sizeof two, "%s", gossip_event_text(event, NULL));
                    CHECK_EQ(dead, 0);
                    CHECK_OK(gossip_close(b));
                } else if (two[0] != '\0') {
                    CHECK_EQ(gossip_event_code(event), 1);
                    snprintf(one, sizeof one, "%s", gossip_event_text(event, NULL));
                }
                break;
        }
        gossip_events_free(events);
    }
    CHECK_EQ(joined, 1);
    CHECK_EQ(dead, 1);
    CHECK(strcmp(one, two) != 0);
    CHECK_EQ(status_at(a, "b"), GOSSIP_MEMBER_DEAD);
    CHECK(!reads_text(a, "b", "k", "seen"));
    CHECK_OK(gossip_queue_free(queue));
    CHECK_OK(gossip_close(a));
}

TEST(keys_of_the_library_are_given_by_name_only) {
    gossip_queue queue = {0};
    gossip_sub all = {0}, named = {0};
    gossip_events *events = NULL;
    const gossip_node node = open_node("c-keys", "a", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_subscribe_queue(node, GOSSIP_EVENTS_ENTRIES, NULL, NULL, 0, 0, queue, 1, &all));
    CHECK_OK(gossip_subscribe_queue(node, GOSSIP_EVENTS_ENTRIES, NULL, "cluster:h", GOSSIP_NUL, GOSSIP_SUB_PREFIX, queue, 2, &named));
    CHECK_OK(gossip_statistic_set(node, "n", 1, NULL, 0));
    CHECK_OK(gossip_queue_take(queue, 1, PATIENCE_MS, &events));
    CHECK_EQ(gossip_event_tag(gossip_events_at(events, 0)), 2);
    CHECK_TEXT(gossip_entry_key(gossip_event_entry(gossip_events_at(events, 0)), NULL), "cluster:heartbeat");
    gossip_events_free(events);
    CHECK_OK(gossip_ban(node, "x", NULL, 0));
    CHECK_OK(set_text(node, "k", "own"));
    CHECK_OK(gossip_queue_take(queue, 1, PATIENCE_MS, &events));
    CHECK_EQ(gossip_event_tag(gossip_events_at(events, 0)), 1);
    CHECK_TEXT(gossip_entry_key(gossip_event_entry(gossip_events_at(events, 0)), NULL), "k");
    gossip_events_free(events);
    CHECK_EQ(entries_under(node, ""), 1);
    CHECK_EQ(entries_under(node, "c"), 0);
    CHECK_EQ(entries_under(node, "cluster:heart"), 1);
    CHECK_EQ(entries_under(node, "cluster:banned"), 1);
    CHECK_OK(gossip_queue_free(queue));
    CHECK_OK(gossip_close(node));
}

int main(void) {
    RUN(null_where_none_may_be_is_an_invalid_argument);
    RUN(names_and_ids_are_1_to_255_bytes_of_utf8);
    RUN(a_node_cannot_ban_itself);
    RUN(a_node_that_has_left_bans_nobody);
    RUN(a_host_has_at_most_1024_statistics);
    RUN(a_ban_is_heeded_by_all_and_lifted_by_any);
    RUN(a_killed_member_is_told_dead_and_the_topology_changes);
    RUN(keys_of_the_library_are_given_by_name_only);
    return check_end();
}
