/* The promises of the header to careless callers: whatever is handed in, the answer is a status and never a crash. */
#include "calls.h"

/* ---- the tables ---- */

TEST(every_status_has_a_number_name_and_text_of_its_own) {
    size_t i, j;
    const size_t count = gossip_status_count();
    CHECK_EQ(gossip_status_at(0), GOSSIP_OK);
    for (i = 0; i < count; ++i) {
        const gossip_status a = gossip_status_at(i);
        CHECK(gossip_status_name(a) != NULL && strncmp(gossip_status_name(a), "GOSSIP_", 7) == 0);
        CHECK(gossip_status_text(a) != NULL && strlen(gossip_status_text(a)) > 5);
        CHECK(gossip_status_can_retry(a) == 0 || gossip_status_can_retry(a) == 1);
        for (j = 0; j < i; ++j) {
            const gossip_status b = gossip_status_at(j);
            CHECK(a != b);
            CHECK(strcmp(gossip_status_name(a), gossip_status_name(b)) != 0);
            CHECK(strcmp(gossip_status_text(a), gossip_status_text(b)) != 0);
        }
    }
    CHECK_EQ(gossip_status_at(count), 0);
    CHECK_EQ(gossip_status_at(SIZE_MAX), 0);
}

TEST(numbers_that_are_no_status_are_told_apart) {
    const gossip_status unknown[] = {1, -9999, INT32_MAX, INT32_MIN};
    size_t i, j;
    for (i = 0; i < 4; ++i) {
        CHECK(gossip_status_name(unknown[i]) != NULL && gossip_status_text(unknown[i]) != NULL);
        CHECK_EQ(gossip_status_can_retry(unknown[i]), 0);
        for (j = 0; j < gossip_status_count(); ++j)
            CHECK(strcmp(gossip_status_name(unknown[i]), gossip_status_name(gossip_status_at(j))) != 0);
    }
}

TEST(trying_again_helps_where_time_may_help) {
    CHECK_EQ(gossip_status_can_retry(GOSSIP_ERR_TIMEOUT), 1);
    CHECK_EQ(gossip_status_can_retry(GOSSIP_ERR_BUSY), 1);
    CHECK_EQ(gossip_status_can_retry(GOSSIP_ERR_INVALID_ARGUMENT), 0);
    CHECK_EQ(gossip_status_can_retry(GOSSIP_ERR_CLOSED), 0);
    CHECK_EQ(gossip_status_can_retry(GOSSIP_OK), 0);
}

TEST(every_setting_is_described_and_takes_its_default) {
    const size_t count = gossip_setting_count();
    size_t i;
    char message[GOSSIP_ERRBUF];
    gossip_config config = {0};
    CHECK(count > 10);
    CHECK_OK(gossip_config_new(&config));
    for (i = 0; i < count; ++i) {
        gossip_bytes *value = NULL;
        gossip_status status;
        size_t len = 0;
        const char *name = gossip_setting_name(i), *standard = gossip_setting_default(i);
        CHECK(name != NULL && standard != NULL && gossip_setting_type(i) != NULL && gossip_setting_unit(i) != NULL &&
              gossip_setting_bounds(i) != NULL && gossip_setting_text(i) != NULL);
        CHECK(name[0] != '\0' && gossip_setting_text(i)[0] != '\0' && gossip_setting_type(i)[0] != '\0');
        CHECK_EQ(gossip_setting_flags(i) & ~(GOSSIP_SETTING_LIVE | GOSSIP_SETTING_SECRET), 0);
        if (standard[0] == '\0') continue;
        status = gossip_config_set(config, name, standard, message, sizeof message);
        if (status != GOSSIP_OK) printf("#    %s=%s: %s\n", name, standard, message);
        CHECK_OK(status);
        CHECK_OK(gossip_config_get(config, name, &value));
        CHECK(gossip_bytes_data(value, &len) != NULL && len == strlen((const char *)gossip_bytes_data(value, NULL)));
        gossip_bytes_free(value);
    }
    CHECK(gossip_setting_name(count) == NULL && gossip_setting_type(count) == NULL && gossip_setting_unit(count) == NULL);
    CHECK(gossip_setting_default(count) == NULL && gossip_setting_bounds(count) == NULL && gossip_setting_text(count) == NULL);
    CHECK_EQ(gossip_setting_flags(SIZE_MAX), 0);
    CHECK_OK(gossip_config_free(config));
}

/* ---- ids ---- */

TEST(zero_foreign_and_made_up_ids_are_answered) {
    gossip_config config = {0};
    gossip_queue queue = {0};
    gossip_sub sub = {0};
    const gossip_node node = open_node("contract", NULL, NULL);
    uint64_t made_up[160];
    size_t i, count = 0;
    CHECK_STILL();
    CHECK_OK(gossip_config_new(&config));
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, &sub));
    CHECK(config.id != 0 && node.id != 0 && queue.id != 0 && sub.id != 0);
    CHECK((config.id | node.id | queue.id | sub.id) < (uint64_t)1 << 53);

    all_answer(config_calls, 0, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(node_calls, 0, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(queue_calls, 0, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(sub_calls, 0, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);

    all_answer(config_calls, node.id, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(node_calls, queue.id, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(node_calls, sub.id, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(queue_calls, sub.id, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);
    all_answer(sub_calls, config.id, GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_INVALID_HANDLE);

    {
        gossip_sub out = {UNTOUCHED_NUMBER};
        const gossip_node none = {0}, wrong = {queue.id};
        CHECK_STATUS(gossip_subscribe_queue(none, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, &out), GOSSIP_ERR_INVALID_HANDLE);
        CHECK_STATUS(gossip_subscribe_queue(wrong, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, &out), GOSSIP_ERR_INVALID_HANDLE);
        CHECK_STATUS(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, (gossip_queue){0}, 0, &out), GOSSIP_ERR_INVALID_HANDLE);
        CHECK_STATUS(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, (gossip_queue){node.id}, 0, &out), GOSSIP_ERR_INVALID_HANDLE);
        CHECK_EQ(out.id, UNTOUCHED_NUMBER);
    }

    /* One bit of a true id turned, for each bit: wrong kind, wrong generation, wrong place, above 2^53. There is one object
     * of each kind, so none of these is another one; some may be remembered as closed. */
    for (i = 0; i < 64; ++i) made_up[count++] = node.id ^ ((uint64_t)1 << i);
    for (i = 1; i < 64; ++i) made_up[count++] = UINT64_MAX >> i;
    made_up[count++] = UINT64_MAX;
    for (i = 0; i < count; ++i) {
        if (made_up[i] == config.id || made_up[i] == queue.id || made_up[i] == sub.id || made_up[i] == node.id) continue;
        all_answer(config_calls, made_up[i], GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_CLOSED);
        all_answer(node_calls, made_up[i], GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_CLOSED);
        all_answer(queue_calls, made_up[i], GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_CLOSED);
        all_answer(sub_calls, made_up[i], GOSSIP_ERR_INVALID_HANDLE, GOSSIP_ERR_CLOSED);
    }

    /* None of it has touched the true ones. */
    CHECK_OK(set_text(node, "still", "here"));
    CHECK(reads_text(node, NULL, "still", "here"));
    CHECK_OK(gossip_unsubscribe(sub));
    CHECK_OK(gossip_queue_free(queue));
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_config_free(config));
}

TEST(what_was_closed_stays_closed) {
    gossip_config config = {0};
    gossip_queue queue = {0}, other = {0};
    gossip_sub sub = {0}, more = {UNTOUCHED_NUMBER};
    const gossip_node node = open_node("contract", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_config_new(&config));
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_queue_new(0, &other));
    CHECK_OK(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, &sub));

    CHECK_OK(gossip_unsubscribe(sub));
    CHECK_OK(gossip_queue_free(queue));
    CHECK_STATUS(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, &more), GOSSIP_ERR_CLOSED);
    CHECK_OK(gossip_close(node));
    CHECK_STATUS(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, other, 0, &more), GOSSIP_ERR_CLOSED);
    CHECK_EQ(more.id, UNTOUCHED_NUMBER);
    CHECK_OK(gossip_queue_free(other));
    CHECK_OK(gossip_config_free(config));

    /* Use, close and free again, more than once. */
    all_answer(config_calls, config.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(config_calls, config.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(node_calls, node.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(node_calls, node.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(queue_calls, queue.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(queue_calls, queue.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(sub_calls, sub.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
    all_answer(sub_calls, sub.id, GOSSIP_ERR_CLOSED, GOSSIP_ERR_CLOSED);
}

TEST(an_id_is_not_used_again_for_the_next_object) {
    uint64_t seen[200];
    size_t i, j;
    for (i = 0; i < 200; ++i) {
        gossip_queue queue = {0};
        CHECK_OK(gossip_queue_new(0, &queue));
        seen[i] = queue.id;
        for (j = 0; j < i; ++j) CHECK(seen[j] != queue.id);
        if (i > 0) CHECK_STATUS(gossip_queue_wake((gossip_queue){seen[i - 1]}), GOSSIP_ERR_CLOSED);
        CHECK_OK(gossip_queue_free(queue));
    }
}

/* ---- NULL ---- */

TEST(null_where_none_may_be_is_an_invalid_argument) {
    const gossip_status bad = GOSSIP_ERR_INVALID_ARGUMENT;
    const gossip_node node = open_node("contract", NULL, NULL);
    gossip_config config = {0};
    gossip_queue queue = {0};
    gossip_sub sub = {UNTOUCHED_NUMBER};
    gossip_bytes *bytes = NULL;
    gossip_entries *entries = NULL;
    CHECK_STILL();
    CHECK_OK(gossip_config_new(&config));
    CHECK_OK(gossip_queue_new(0, &queue));

    CHECK_STATUS(gossip_config_new(NULL), bad);
    CHECK_STATUS(gossip_config_set(config, NULL, "x", NULL, 0), bad);
    CHECK_STATUS(gossip_config_set(config, "cluster", NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_config_get(config, NULL, &bytes), bad);
    CHECK_STATUS(gossip_config_get(config, "cluster", NULL), bad);
    CHECK_STATUS(gossip_open(config, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_open_text(NULL, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_open_text("cluster=c", NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_reconfigure(node, NULL, "x", NULL, 0), bad);
    CHECK_STATUS(gossip_reconfigure(node, "tags", NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_setting_get(node, NULL, &bytes), bad);
    CHECK_STATUS(gossip_setting_get(node, "cluster", NULL), bad);
    CHECK_STATUS(gossip_state(node, NULL), bad);
    CHECK_STATUS(gossip_self(node, NULL), bad);
    CHECK_STATUS(gossip_describe(node, NULL), bad);
    CHECK_STATUS(gossip_snapshot(node, GOSSIP_FORMAT_JSON, NULL), bad);
    CHECK_STATUS(gossip_offsets(node, NULL), bad);
    CHECK_STATUS(gossip_metrics(node, GOSSIP_FORMAT_JSON, NULL), bad);
    CHECK_STATUS(gossip_set(node, NULL, 1, "", "v", 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set(node, NULL, GOSSIP_NUL, "", "v", 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set(node, "k", 1, "", NULL, 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set_with(node, NULL, 1, "", "v", 1, 0, 0, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, NULL, 1, GOSSIP_VALUE_TEXT, "v", 1, 0, 0, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_INT, NULL, 8, 0, 0, NULL, NULL, 0), bad);
    CHECK_STATUS(gossip_set_text(node, NULL, 1, "v", 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set_text(node, "k", 1, NULL, 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set_bool(node, NULL, 1, 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set_int(node, NULL, 1, 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set_double(node, NULL, 1, 1, NULL, 0), bad);
    CHECK_STATUS(gossip_delete(node, NULL, 1), bad);
    CHECK_STATUS(gossip_get(node, NULL, NULL, 1, 0, &entries), bad);
    CHECK_STATUS(gossip_get(node, NULL, "k", 1, 0, NULL), bad);
    CHECK_STATUS(gossip_get_own(node, NULL, 1, &entries), bad);
    CHECK_STATUS(gossip_get_own(node, "k", 1, NULL), bad);
    CHECK_STATUS(gossip_members_get(node, 0, NULL), bad);
    CHECK_STATUS(gossip_subscribe(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, NULL, NULL, NULL, &sub), bad);
    CHECK_STATUS(gossip_subscribe(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, never_called, NULL, NULL, NULL), bad);
    CHECK_STATUS(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, NULL), bad);
    CHECK_STATUS(gossip_queue_new(0, NULL), bad);
    CHECK_STATUS(gossip_queue_fd(queue, NULL), bad);
    CHECK_STATUS(gossip_queue_take(queue, 1, 0, NULL), bad);
    CHECK(bytes == NULL && entries == NULL && sub.id == UNTOUCHED_NUMBER);

    /* An empty value is NULL and 0 as well. */
    CHECK_OK(gossip_set(node, "k", 1, NULL, NULL, 0, NULL, 0));
    CHECK_OK(gossip_set_text(node, "k", 1, NULL, 0, NULL, 0));
    CHECK_OK(gossip_queue_free(queue));
    CHECK_OK(gossip_config_free(config));
    CHECK_OK(gossip_close(node));
}

/* Accessors have no status: of nothing they give nothing. */
#define NOTHING(call)                                                      \
    do {                                                                   \
        const char *nothing;                                               \
        len = 99;                                                          \
        nothing = (const char *)(call);                                    \
        CHECK(nothing == NULL || nothing[0] == '\0');                      \
        CHECK_EQ(len, 0);                                                  \
    } while (0)

#define NO_BYTES(call)        \
    do {                      \
        len = 99;             \
        (void)(call);         \
        CHECK_EQ(len, 0);     \
    } while (0)

TEST(accessors_of_null_give_nothing) {
    size_t len = 0;
    int32_t flag = 7;
    int64_t integer = 7;
    double number = 7;
    CHECK_EQ(gossip_entries_len(NULL), 0);
    CHECK_EQ(gossip_members_len(NULL), 0);
    CHECK_EQ(gossip_events_len(NULL), 0);
    CHECK(gossip_entries_at(NULL, 0) == NULL && gossip_members_at(NULL, 0) == NULL && gossip_events_at(NULL, 0) == NULL);
    NO_BYTES(gossip_entries_packed(NULL, &len));
    NO_BYTES(gossip_members_packed(NULL, &len));
    NO_BYTES(gossip_events_packed(NULL, &len));
    NOTHING(gossip_entry_member(NULL, &len));
    NOTHING(gossip_entry_key(NULL, &len));
    NOTHING(gossip_entry_type_url(NULL, &len));
    NOTHING(gossip_entry_value(NULL, &len));
    NOTHING(gossip_entry_text(NULL, &len));
    NOTHING(gossip_member_id(NULL, &len));
    NOTHING(gossip_member_address(NULL, &len));
    NOTHING(gossip_member_tag_name(NULL, 0, &len));
    NOTHING(gossip_member_tag_value(NULL, 0, &len));
    NOTHING(gossip_event_text(NULL, &len));
    NOTHING(gossip_event_target(NULL, &len));
    NOTHING(gossip_bytes_data(NULL, &len));
    (void)gossip_entry_member(NULL, NULL);
    (void)gossip_bytes_data(NULL, NULL);
    (void)gossip_events_packed(NULL, NULL);
    CHECK(gossip_entry_bool(NULL, &flag) != GOSSIP_OK && flag == 7);
    CHECK(gossip_entry_int(NULL, &integer) != GOSSIP_OK && integer == 7);
    CHECK(gossip_entry_double(NULL, &number) != GOSSIP_OK && number > 6.9 && number < 7.1);
    CHECK_EQ(gossip_entry_value_kind(NULL), GOSSIP_VALUE_NONE);
    CHECK_EQ(gossip_entry_seq(NULL), 0);
    CHECK_EQ(gossip_entry_generation(NULL), 0);
    CHECK_EQ(gossip_entry_member_status(NULL), 0);
    (void)gossip_entry_age_ms(NULL);
    CHECK_EQ(gossip_member_generation(NULL), 0);
    CHECK_EQ(gossip_member_status(NULL), 0);
    CHECK_EQ(gossip_member_is_self(NULL), 0);
    CHECK_EQ(gossip_member_tag_count(NULL), 0);
    (void)gossip_member_status_age_ms(NULL);
    (void)gossip_member_rtt_us(NULL);
    CHECK_EQ(gossip_event_kind(NULL), 0);
    CHECK_EQ(gossip_event_tag(NULL), 0);
    CHECK_EQ(gossip_event_node(NULL), 0);
    CHECK_EQ(gossip_event_sub(NULL), 0);
    CHECK_EQ(gossip_event_conflated(NULL), 0);
    CHECK_EQ(gossip_event_code(NULL), 0);
    CHECK(gossip_event_entry(NULL) == NULL && gossip_event_member(NULL) == NULL);
    gossip_entries_free(NULL);
    gossip_members_free(NULL);
    gossip_events_free(NULL);
    gossip_bytes_free(NULL);
}

TEST(lists_end_with_null) {
    gossip_entries *entries = NULL;
    gossip_members *members = NULL;
    size_t len = 5;
    const gossip_node node = open_node("contract", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_get(node, NULL, "none", GOSSIP_NUL, 0, &entries));
    CHECK(entries != NULL);
    CHECK_EQ(gossip_entries_len(entries), 0);
    CHECK(gossip_entries_at(entries, 0) == NULL && gossip_entries_at(entries, SIZE_MAX) == NULL);
    (void)gossip_entries_packed(entries, &len);
    CHECK_EQ(len, 0);
    CHECK_OK(gossip_members_get(node, 0, &members));
    CHECK_EQ(gossip_members_len(members), 1);
    CHECK(gossip_members_at(members, 0) != NULL && gossip_members_at(members, 1) == NULL);
    CHECK(gossip_member_tag_name(gossip_members_at(members, 0), 0, NULL) == NULL);
    CHECK_OK(gossip_close(node));
    /* Lists need no node. */
    CHECK_EQ(gossip_member_is_self(gossip_members_at(members, 0)), 1);
    gossip_entries_free(entries);
    gossip_members_free(members);
}

/* ---- errbuf ---- */

/* 1 where the text ends at a character's end. */
static int whole_characters(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    while (*p != 0) {
        const int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        int i;
        ++p;
        for (i = 0; i < more; ++i, ++p)
            if ((*p & 0xc0) != 0x80) return 0;
    }
    return 1;
}

TEST(errbuf_is_emptied_filled_terminated_and_cut_at_a_character) {
    char message[GOSSIP_ERRBUF], cut[GOSSIP_ERRBUF];
    size_t full, capacity;
    gossip_config config = {0};
    CHECK_OK(gossip_config_new(&config));

    memset(message, 'x', sizeof message);
    CHECK_OK(gossip_config_set(config, "cluster", "c", message, sizeof message));
    CHECK_EQ(message[0], '\0');

    memset(message, 'x', sizeof message);
    CHECK_STATUS(gossip_config_set(config, "gr\xc3\xbc\xc3\x9f\xe2\x9c\x93\xf0\x9f\x94\x91", "v", message, sizeof message),
                 GOSSIP_ERR_UNKNOWN_SETTING);
    CHECK(memchr(message, '\0', sizeof message) != NULL);
    full = strlen(message);
    CHECK(full > 0 && whole_characters(message));
    /* It names what is wrong, in the characters that it was given in. */
    CHECK(strstr(message, "\xe2\x9c\x93\xf0\x9f\x94\x91") != NULL);

    for (capacity = 1; capacity <= full + 1; ++capacity) {
        memset(cut, 'x', sizeof cut);
        CHECK_STATUS(gossip_config_set(config, "gr\xc3\xbc\xc3\x9f\xe2\x9c\x93\xf0\x9f\x94\x91", "v", cut, capacity),
                     GOSSIP_ERR_UNKNOWN_SETTING);
        CHECK(memchr(cut, '\0', capacity) != NULL);
        CHECK_EQ(cut[capacity], 'x');
        CHECK(whole_characters(cut));
        CHECK_EQ(strncmp(cut, message, strlen(cut)), 0);
        /* Not shorter than a character makes necessary. */
        CHECK(strlen(cut) + 4 >= capacity);
    }
    CHECK_STATUS(gossip_config_set(config, "no such", "v", NULL, 0), GOSSIP_ERR_UNKNOWN_SETTING);
    memset(cut, 'x', sizeof cut);
    CHECK_STATUS(gossip_config_set(config, "no such", "v", cut, 0), GOSSIP_ERR_UNKNOWN_SETTING);
    CHECK_EQ(cut[0], 'x');
    CHECK_OK(gossip_config_free(config));
}

TEST(every_function_with_errbuf_fills_it) {
    char message[GOSSIP_ERRBUF];
    gossip_config config = {0};
    gossip_node other = {UNTOUCHED_NUMBER};
    const gossip_node node = open_node("contract", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_config_new(&config));
#define FILLS(want, call)                                   \
    memset(message, 'x', sizeof message);                   \
    CHECK_STATUS(call, want);                               \
    CHECK(memchr(message, '\0', sizeof message) != NULL);   \
    CHECK(message[0] != '\0')
#define EMPTIES(call)                     \
    memset(message, 'x', sizeof message); \
    CHECK_OK(call);                       \
    CHECK_EQ(message[0], '\0')
    FILLS(GOSSIP_ERR_BAD_SETTING, gossip_config_set(config, "gossip_fanout", "many", message, sizeof message));
    CHECK_OK(gossip_config_set(config, "bind", "127.0.0.1:0", NULL, 0));
    CHECK_OK(gossip_config_set(config, "cluster", "contract", NULL, 0));
    EMPTIES(gossip_open(config, &other, message, sizeof message));
    CHECK_OK(gossip_close(other));
    FILLS(GOSSIP_ERR_UNKNOWN_SETTING, gossip_open_text("clutser=c", &other, message, sizeof message));
    CHECK(strstr(message, "clutser") != NULL);
    FILLS(GOSSIP_ERR_NOT_LIVE, gossip_reconfigure(node, "bind", "127.0.0.1:1", message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set(node, "cluster:x", GOSSIP_NUL, "", "v", 1, message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set_with(node, "cluster:x", GOSSIP_NUL, "", "v", 1, 0, 0, NULL, message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set_plain(node, "cluster:x", GOSSIP_NUL, GOSSIP_VALUE_TEXT, "v", 1, 0, 0, NULL, message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set_text(node, "cluster:x", GOSSIP_NUL, "v", 1, message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set_bool(node, "cluster:x", GOSSIP_NUL, 1, message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set_int(node, "cluster:x", GOSSIP_NUL, 1, message, sizeof message));
    FILLS(GOSSIP_ERR_RESERVED_KEY, gossip_set_double(node, "cluster:x", GOSSIP_NUL, 1, message, sizeof message));
    EMPTIES(gossip_set(node, "k", 1, "", "v", 1, message, sizeof message));
    EMPTIES(gossip_set_text(node, "k", 1, "v", 1, message, sizeof message));
    EMPTIES(gossip_reconfigure(node, "tags", "a=b", message, sizeof message));
    CHECK_OK(gossip_close(node));
    FILLS(GOSSIP_ERR_CLOSED, gossip_set(node, "k", 1, "", "v", 1, message, sizeof message));
    CHECK_OK(gossip_config_free(config));
}

/* ---- keys, values, flags ---- */

TEST(keys_are_1_to_255_bytes_of_utf8_and_not_reserved) {
    char longest[256];
    size_t i;
    const struct {
        const char *key;
        size_t len;
        gossip_status want;
    } rows[] = {
        {"", 0, GOSSIP_ERR_INVALID_KEY},
        {"", GOSSIP_NUL, GOSSIP_ERR_INVALID_KEY},
        {longest, 256, GOSSIP_ERR_INVALID_KEY},
        {longest, 255, GOSSIP_OK},
        {"\xff", 1, GOSSIP_ERR_INVALID_KEY},
        {"\xc3", 1, GOSSIP_ERR_INVALID_KEY},         /* a character's first half */
        {"\xed\xa0\x80", 3, GOSSIP_ERR_INVALID_KEY}, /* a surrogate */
        {"\xc0\xaf", 2, GOSSIP_ERR_INVALID_KEY},     /* overlong */
        {"cluster:", 8, GOSSIP_ERR_RESERVED_KEY},
        {"cluster:heartbeat", GOSSIP_NUL, GOSSIP_ERR_RESERVED_KEY},
        {"cluster", 7, GOSSIP_OK},
        {"Cluster:x", 9, GOSSIP_OK},
        {"a\0b", 3, GOSSIP_OK},
        {"\0", 1, GOSSIP_OK},
        {"k", SIZE_MAX - 1, GOSSIP_ERR_INVALID_ARGUMENT}, /* no length that any memory has */
    };
    const gossip_node node = open_node("contract", NULL, NULL);
    CHECK_STILL();
    memset(longest, 'k', sizeof longest);
    for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const gossip_status status = gossip_set_int(node, rows[i].key, rows[i].len, (int64_t)i, NULL, 0);
        if (status != rows[i].want) printf("#    row %d\n", (int)i);
        CHECK_STATUS(status, rows[i].want);
        if (rows[i].want == GOSSIP_ERR_RESERVED_KEY) CHECK_STATUS(gossip_delete(node, rows[i].key, rows[i].len), rows[i].want);
    }
    CHECK_STATUS(gossip_delete(node, "never", GOSSIP_NUL), GOSSIP_ERR_NOT_FOUND);
    CHECK_STATUS(gossip_delete(node, "", 0), GOSSIP_ERR_INVALID_KEY);
    CHECK_OK(gossip_close(node));
}

TEST(arguments_out_of_range_are_invalid) {
    const gossip_status bad = GOSSIP_ERR_INVALID_ARGUMENT;
    const gossip_node node = open_node("contract", NULL, NULL);
    const uint8_t eight[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    uint64_t seq = UNTOUCHED_NUMBER;
    gossip_entries *entries = NULL;
    gossip_members *members = NULL;
    gossip_bytes *bytes = NULL;
    gossip_sub sub = {0};
    CHECK_STILL();
    CHECK_STATUS(gossip_set_with(node, "k", 1, "", "v", 1, 0, 0x80000000u, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_with(node, "k", 1, "", "v", 1, -1, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, 99, "v", 1, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_NONE, "v", 1, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_MESSAGE, "v", 1, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_BOOL, eight, 2, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_INT, eight, 7, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_DOUBLE, eight, 4, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_plain(node, "k", 1, GOSSIP_VALUE_TEXT, "\xff", 1, 0, 0, &seq, NULL, 0), bad);
    CHECK_STATUS(gossip_set_text(node, "k", 1, "\xc3", 1, NULL, 0), bad);
    CHECK_STATUS(gossip_set(node, "k", 1, "\xff", "v", 1, NULL, 0), bad);
    CHECK_STATUS(gossip_get(node, NULL, "k", 1, 0x80000000u, &entries), bad);
    CHECK_STATUS(gossip_members_get(node, 0x80000000u, &members), bad);
    CHECK_STATUS(gossip_snapshot(node, 99, &bytes), bad);
    CHECK_STATUS(gossip_metrics(node, 99, &bytes), bad);
    CHECK_STATUS(gossip_subscribe(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0x80000000u, never_called, NULL, NULL, &sub), bad);
    CHECK_STATUS(gossip_get(node, "\xff", "k", 1, 0, &entries), bad);
    CHECK(entries == NULL && members == NULL && bytes == NULL && sub.id == 0 && seq == UNTOUCHED_NUMBER);
    /* Lengths that no memory has are refused before anything is read. */
#define REFUSED(call)                                                                    \
    do {                                                                                 \
        const gossip_status refused = call;                                              \
        CHECK(refused == GOSSIP_ERR_VALUE_TOO_LARGE || refused == GOSSIP_ERR_INVALID_ARGUMENT); \
    } while (0)
    REFUSED(gossip_set(node, "k", 1, "", "v", SIZE_MAX / 2, NULL, 0));
    REFUSED(gossip_set(node, "k", 1, "", "v", SIZE_MAX, NULL, 0));
    REFUSED(gossip_set_text(node, "k", 1, "v", SIZE_MAX / 2, NULL, 0));
    CHECK_OK(gossip_close(node));
}

TEST(limits_refuse_with_both_numbers) {
    char message[GOSSIP_ERRBUF];
    static char value[5000];
    gossip_node node = {0};
    char key[16];
    int i;
    /* Without the topology, which the library publishes as a key of this node's, too. */
    CHECK_OK(gossip_open_text("cluster=contract\nbind=127.0.0.1:0\ntopology_members=0\nmax_value_size=4096\nmax_keys_per_member=10\n", &node, message,
                              sizeof message));
    CHECK_STATUS(gossip_set(node, "big", 3, "", value, 4097, message, sizeof message), GOSSIP_ERR_VALUE_TOO_LARGE);
    CHECK(strstr(message, "4097") != NULL || strstr(message, "4,097") != NULL);
    CHECK(strstr(message, "4096") != NULL || strstr(message, "4,096") != NULL);
    CHECK_OK(gossip_set(node, "big", 3, "", value, 4096, message, sizeof message));
    for (i = 1; i < 10; ++i) {
        snprintf(key, sizeof key, "k%d", i);
        CHECK_OK(gossip_set_int(node, key, GOSSIP_NUL, i, message, sizeof message));
    }
    CHECK_STATUS(gossip_set_int(node, "one more", GOSSIP_NUL, 1, message, sizeof message), GOSSIP_ERR_LIMIT);
    CHECK(strstr(message, "10") != NULL && strstr(message, "11") != NULL);
    /* What exists may change; what is deleted makes room. */
    CHECK_OK(gossip_set_int(node, "k1", GOSSIP_NUL, 100, message, sizeof message));
    CHECK_OK(gossip_close(node));

    CHECK_OK(gossip_open_text("cluster=contract\nbind=127.0.0.1:0\nmax_state_size_per_member=65536\nmax_value_size=8192\n", &node, message, sizeof message));
    for (i = 0; i < 12; ++i) {
        snprintf(key, sizeof key, "k%d", i);
        CHECK_OK(gossip_set(node, key, GOSSIP_NUL, "", value, 5000, message, sizeof message));
    }
    for (i = 12; i < 20; ++i) {
        snprintf(key, sizeof key, "k%d", i);
        if (gossip_set(node, key, GOSSIP_NUL, "", value, 5000, message, sizeof message) == GOSSIP_ERR_LIMIT) break;
    }
    CHECK(i < 20);
    CHECK(strstr(message, "65536") != NULL || strstr(message, "65,536") != NULL);
    CHECK_OK(gossip_close(node));
}

TEST(settings_are_read_back_and_checked) {
    gossip_config config = {0};
    gossip_bytes *value = NULL;
    gossip_node node = {0};
    CHECK_OK(gossip_config_new(&config));
    CHECK_OK(gossip_config_set(config, "cluster", "read back", NULL, 0));
    CHECK_OK(gossip_config_set(config, "bind", "127.0.0.1:0", NULL, 0));
    CHECK_OK(gossip_config_get(config, "cluster", &value));
    CHECK_TEXT((const char *)gossip_bytes_data(value, NULL), "read back");
    gossip_bytes_free(value);
    CHECK_STATUS(gossip_config_get(config, "no_such_setting", &value), GOSSIP_ERR_UNKNOWN_SETTING);
    CHECK_STATUS(gossip_config_set(config, "bind", "nonsense", NULL, 0), GOSSIP_ERR_BAD_SETTING);

    /* Opened twice from one configuration, which may be freed before the nodes. */
    CHECK_OK(gossip_open(config, &node, NULL, 0));
    CHECK_OK(gossip_setting_get(node, "cluster", &value));
    CHECK_TEXT((const char *)gossip_bytes_data(value, NULL), "read back");
    gossip_bytes_free(value);
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_open(config, &node, NULL, 0));
    CHECK_OK(gossip_config_free(config));
    CHECK_OK(gossip_reconfigure(node, "tags", "role=new", NULL, 0));
    CHECK_OK(gossip_setting_get(node, "tags", &value));
    CHECK_TEXT((const char *)gossip_bytes_data(value, NULL), "role=new");
    gossip_bytes_free(value);
    CHECK_STATUS(gossip_reconfigure(node, "no_such_setting", "1", NULL, 0), GOSSIP_ERR_UNKNOWN_SETTING);
    CHECK_STATUS(gossip_setting_get(node, "no_such_setting", &value), GOSSIP_ERR_UNKNOWN_SETTING);
    CHECK_OK(gossip_close(node));
}

TEST(a_port_that_is_taken_is_a_bind_error) {
    char address[128], settings[256], message[GOSSIP_ERRBUF];
    gossip_node other = {0};
    const gossip_node node = open_node("contract", NULL, NULL);
    CHECK_STILL();
    address_of(node, address, sizeof address);
    snprintf(settings, sizeof settings, "cluster=contract\nbind=%s\n", address);
    CHECK_STATUS(gossip_open_text(settings, &other, message, sizeof message), GOSSIP_ERR_BIND);
    CHECK(strstr(message, address) != NULL);
    CHECK_EQ(other.id, 0);
    CHECK_OK(gossip_close(node));
}

int main(void) {
    RUN(every_status_has_a_number_name_and_text_of_its_own);
    RUN(numbers_that_are_no_status_are_told_apart);
    RUN(trying_again_helps_where_time_may_help);
    RUN(every_setting_is_described_and_takes_its_default);
    RUN(zero_foreign_and_made_up_ids_are_answered);
    RUN(what_was_closed_stays_closed);
    RUN(an_id_is_not_used_again_for_the_next_object);
    RUN(null_where_none_may_be_is_an_invalid_argument);
    RUN(accessors_of_null_give_nothing);
    RUN(lists_end_with_null);
    RUN(errbuf_is_emptied_filled_terminated_and_cut_at_a_character);
    RUN(every_function_with_errbuf_fills_it);
    RUN(keys_are_1_to_255_bytes_of_utf8_and_not_reserved);
    RUN(arguments_out_of_range_are_invalid);
    RUN(limits_refuse_with_both_numbers);
    RUN(settings_are_read_back_and_checked);
    RUN(a_port_that_is_taken_is_a_bind_error);
    return check_end();
}
