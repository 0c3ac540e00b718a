/* What is set is read: values of every kind, keys of every byte, sequence numbers, time to live, deletes, members, pages. */
#include "packed.h"

#define KEY(text) text, sizeof(text) - 1

/* One entry of the node's own, or NULL. *list is to be freed. */
static const gossip_entry *own(gossip_node node, const char *key, size_t key_len, gossip_entries **list) {
    *list = NULL;
    if (gossip_get_own(node, key, key_len, list) != GOSSIP_OK) return NULL;
    return gossip_entries_at(*list, 0);
}

TEST(values_of_every_kind_come_back_as_themselves) {
    gossip_entries *list;
    const gossip_entry *entry;
    const gossip_node node = open_node("state", "writer", NULL);
    const double numbers[] = {0.0, -0.1, 1e308, 5e-324};
    const int64_t integers[] = {0, -1, INT64_MIN, INT64_MAX};
    int32_t flag = 9;
    int64_t integer = 9;
    double number = 9;
    size_t len = 99, i;
    CHECK_STILL();

    CHECK_OK(gossip_set(node, KEY("bytes"), NULL, "\0\xff\0", 3, NULL, 0));
    entry = own(node, KEY("bytes"), &list);
    CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_BYTES);
    CHECK(memcmp(gossip_entry_value(entry, &len), "\0\xff\0", 3) == 0 && len == 3);
    CHECK_TEXT(gossip_entry_type_url(entry, &len), "");
    CHECK_EQ(len, 0);
    CHECK_TEXT(gossip_entry_member(entry, &len), "writer");
    CHECK_EQ(len, 6);
    CHECK_TEXT(gossip_entry_key(entry, &len), "bytes");
    CHECK_EQ(len, 5);
    CHECK(gossip_entry_text(entry, &len) == NULL);
    CHECK_STATUS(gossip_entry_bool(entry, &flag), GOSSIP_ERR_WRONG_TYPE);
    CHECK_STATUS(gossip_entry_int(entry, &integer), GOSSIP_ERR_WRONG_TYPE);
    CHECK_STATUS(gossip_entry_double(entry, &number), GOSSIP_ERR_WRONG_TYPE);
    CHECK(flag == 9 && integer == 9 && number > 8.9);
    packed_is_entries(list);
    gossip_entries_free(list);

    CHECK_OK(gossip_set(node, KEY("bytes"), "", NULL, 0, NULL, 0));
    entry = own(node, KEY("bytes"), &list);
    CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_BYTES);
    CHECK(gossip_entry_value(entry, &len) != NULL && len == 0);
    gossip_entries_free(list);

    CHECK_OK(gossip_set_text(node, KEY("text"), KEY("gr\xc3\xbc\xc3\x9f\0e"), NULL, 0));
    entry = own(node, KEY("text"), &list);
    CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_TEXT);
    CHECK(strstr(gossip_entry_type_url(entry, NULL), "google.protobuf.StringValue") != NULL);
    CHECK(memcmp(gossip_entry_text(entry, &len), KEY("gr\xc3\xbc\xc3\x9f\0e")) == 0 && len == 8);
    packed_is_entries(list);
    gossip_entries_free(list);

    CHECK_OK(gossip_set_text(node, KEY("text"), "", 0, NULL, 0));
    entry = own(node, KEY("text"), &list);
    CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_TEXT);
    CHECK(gossip_entry_text(entry, &len) != NULL && len == 0);
    packed_is_entries(list);
    gossip_entries_free(list);

    for (i = 0; i < 2; ++i) {
        CHECK_OK(gossip_set_bool(node, KEY("bool"), i == 0 ? 0 : 7, NULL, 0));
        entry = own(node, KEY("bool"), &list);
        CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_BOOL);
        CHECK(strstr(gossip_entry_type_url(entry, NULL), "google.protobuf.BoolValue") != NULL);
        CHECK_OK(gossip_entry_bool(entry, &flag));
        CHECK_EQ(flag, i);
        CHECK_STATUS(gossip_entry_int(entry, &integer), GOSSIP_ERR_WRONG_TYPE);
        packed_is_entries(list);
        gossip_entries_free(list);
    }
    for (i = 0; i < 4; ++i) {
        CHECK_OK(gossip_set_int(node, KEY("int"), integers[i], NULL, 0));
        entry = own(node, KEY("int"), &list);
        CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_INT);
        CHECK(strstr(gossip_entry_type_url(entry, NULL), "google.protobuf.Int64Value") != NULL);
        CHECK_OK(gossip_entry_int(entry, &integer));
        CHECK_EQ(integer, integers[i]);
        packed_is_entries(list);
        gossip_entries_free(list);

        CHECK_OK(gossip_set_double(node, KEY("double"), numbers[i], NULL, 0));
        entry = own(node, KEY("double"), &list);
        CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_DOUBLE);
        CHECK(strstr(gossip_entry_type_url(entry, NULL), "google.protobuf.DoubleValue") != NULL);
        CHECK_OK(gossip_entry_double(entry, &number));
        CHECK_EQ(memcmp(&number, &numbers[i], sizeof number), 0);
        packed_is_entries(list);
        gossip_entries_free(list);
    }

    CHECK_OK(gossip_set(node, KEY("message"), "type.example.org/shop.Order", "\x0a\x01x", 3, NULL, 0));
    entry = own(node, KEY("message"), &list);
    CHECK_EQ(gossip_entry_value_kind(entry), GOSSIP_VALUE_MESSAGE);
    CHECK_TEXT(gossip_entry_type_url(entry, &len), "type.example.org/shop.Order");
    CHECK(memcmp(gossip_entry_value(entry, &len), "\x0a\x01x", 3) == 0 && len == 3);
    packed_is_entries(list);
    gossip_entries_free(list);

    CHECK_OK(gossip_get(node, NULL, "", 0, GOSSIP_GET_PREFIX, &list));
    CHECK(gossip_entries_len(list) >= 6);
    packed_is_entries(list);
    gossip_entries_free(list);
    CHECK_OK(gossip_close(node));
}

TEST(set_plain_is_the_same_as_the_named_forms) {
    const gossip_node node = open_node("state", NULL, NULL);
    const int64_t integer = -5;
    const double number = 2.5;
    const uint8_t flag = 1;
    /* Any alignment. */
    uint8_t shifted[9];
    uint64_t seq = 0, before = 0;
    gossip_entries *list;
    const struct {
        int32_t kind;
        const void *value;
        size_t len;
    } rows[] = {{GOSSIP_VALUE_BYTES, "\0b", 2}, {GOSSIP_VALUE_TEXT, "text", 4}, {GOSSIP_VALUE_BOOL, &flag, 1},
                {GOSSIP_VALUE_INT, shifted + 1, 8}, {GOSSIP_VALUE_DOUBLE, &number, 8}};
    size_t i;
    CHECK_STILL();
    memcpy(shifted + 1, &integer, 8);
    for (i = 0; i < 5; ++i) {
        CHECK_OK(gossip_set_plain(node, KEY("plain"), rows[i].kind, rows[i].value, rows[i].len, 0, 0, &seq, NULL, 0));
        CHECK(seq > before);
        before = seq;
        CHECK_OK(gossip_set_plain(node, KEY("plain"), rows[i].kind, rows[i].value, rows[i].len, 0, GOSSIP_SET_IF_CHANGED, &seq, NULL, 0));
        CHECK_EQ(seq, before);
    }
#define SAME_AS_NAMED(named, row)                                                                                               \
    CHECK_OK(named);                                                                                                            \
    before = gossip_entry_seq(own(node, KEY("plain"), &list));                                                                  \
    gossip_entries_free(list);                                                                                                  \
    CHECK_OK(gossip_set_plain(node, KEY("plain"), rows[row].kind, rows[row].value, rows[row].len, 0, GOSSIP_SET_IF_CHANGED, &seq, NULL, 0)); \
    CHECK_EQ(seq, before)
    SAME_AS_NAMED(gossip_set(node, KEY("plain"), "", "\0b", 2, NULL, 0), 0);
    SAME_AS_NAMED(gossip_set_text(node, KEY("plain"), "text", 4, NULL, 0), 1);
    SAME_AS_NAMED(gossip_set_bool(node, KEY("plain"), 1, NULL, 0), 2);
    SAME_AS_NAMED(gossip_set_int(node, KEY("plain"), -5, NULL, 0), 3);
    SAME_AS_NAMED(gossip_set_double(node, KEY("plain"), 2.5, NULL, 0), 4);
    CHECK_OK(gossip_close(node));
}

TEST(keys_may_hold_zero_bytes_and_any_character) {
    gossip_entries *list;
    const gossip_entry *entry;
    size_t len = 0;
    const gossip_node node = open_node("state", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_set_int(node, KEY("a"), 1, NULL, 0));
    CHECK_OK(gossip_set_int(node, KEY("a\0"), 2, NULL, 0));
    CHECK_OK(gossip_set_int(node, KEY("a\0b"), 3, NULL, 0));
    CHECK_OK(gossip_set_int(node, KEY("\xf0\x9f\x94\x91"), 4, NULL, 0));
    CHECK_OK(gossip_get(node, NULL, KEY("a"), GOSSIP_GET_PREFIX, &list));
    CHECK_EQ(gossip_entries_len(list), 3);
    packed_is_entries(list);
    gossip_entries_free(list);
    entry = own(node, KEY("a\0b"), &list);
    CHECK(memcmp(gossip_entry_key(entry, &len), "a\0b", 4) == 0 && len == 3);
    gossip_entries_free(list);
    CHECK_OK(gossip_delete(node, KEY("a\0")));
    CHECK(own(node, KEY("a\0"), &list) == NULL);
    gossip_entries_free(list);
    CHECK(own(node, "a", GOSSIP_NUL, &list) != NULL);
    gossip_entries_free(list);
    CHECK_OK(gossip_close(node));
}

TEST(sequence_numbers_rise_with_sets_and_deletes) {
    gossip_entries *list;
    uint64_t last = 0, seq = 0;
    const gossip_node node = open_node("state", NULL, NULL);
    CHECK_STILL();
    /* Rise, not: by one. What the library publishes of its own takes numbers from the same row. */
    CHECK_OK(gossip_set_with(node, KEY("k"), "", "1", 1, 0, 0, &last, NULL, 0));
    CHECK(last >= 1);
    CHECK_OK(gossip_set_with(node, KEY("k"), "", "1", 1, 0, 0, &seq, NULL, 0));
    CHECK(seq > last);
    last = seq;
    CHECK_OK(gossip_set_with(node, KEY("k"), "", "1", 1, 0, GOSSIP_SET_IF_CHANGED, &seq, NULL, 0));
    CHECK_EQ(seq, last);
    CHECK_OK(gossip_set_with(node, KEY("k"), "other.type/T", "1", 1, 0, GOSSIP_SET_IF_CHANGED, &seq, NULL, 0));
    CHECK(seq > last);
    last = seq;
    CHECK_OK(gossip_delete(node, KEY("k")));
    CHECK_STATUS(gossip_delete(node, KEY("k")), GOSSIP_ERR_NOT_FOUND);
    /* After a delete even the same value is a change, and the delete took a number too. */
    CHECK_OK(gossip_set_with(node, KEY("k"), "other.type/T", "1", 1, 0, GOSSIP_SET_IF_CHANGED, &seq, NULL, 0));
    CHECK(seq >= last + 2);
    CHECK_EQ(gossip_entry_seq(own(node, KEY("k"), &list)), seq);
    CHECK(gossip_entry_generation(gossip_entries_at(list, 0)) > 0);
    CHECK(gossip_entry_age_ms(gossip_entries_at(list, 0)) >= 0);
    CHECK_EQ(gossip_entry_member_status(gossip_entries_at(list, 0)), GOSSIP_MEMBER_ALIVE);
    gossip_entries_free(list);
    CHECK_OK(gossip_close(node));
}

static int has_own(gossip_node node, const char *key) {
    gossip_entries *list;
    const int has = own(node, key, GOSSIP_NUL, &list) != NULL;
    gossip_entries_free(list);
    return has;
}

TEST(a_time_to_live_ends) {
    const gossip_node node = open_node("state", NULL, NULL);
    CHECK_STILL();
    CHECK_OK(gossip_set_with(node, KEY("short"), "", "x", 1, 300, 0, NULL, NULL, 0));
    CHECK_OK(gossip_set_with(node, KEY("long"), "", "x", 1, 3600000, 0, NULL, NULL, 0));
    CHECK_OK(gossip_set_with(node, KEY("renewed"), "", "x", 1, 300, 0, NULL, NULL, 0));
    CHECK_OK(gossip_set_with(node, KEY("renewed"), "", "x", 1, 0, 0, NULL, NULL, 0));
    CHECK(UNTIL(!has_own(node, "short")));
    CHECK(has_own(node, "long"));
    CHECK(has_own(node, "renewed"));
    CHECK_OK(gossip_close(node));
}

TEST(values_of_60_kB_reach_a_peer_unchanged) {
    static uint8_t value[60000];
    char seed[128];
    gossip_entries *list = NULL;
    size_t i, len = 0;
    gossip_node a, b;
    uint32_t x = 12345;
    int same = 0;
    a = open_node("state", "a", NULL);
    CHECK_STILL();
    address_of(a, seed, sizeof seed);
    b = open_node("state", "b", seed);
    CHECK_STILL();
    for (i = 0; i < sizeof value; ++i) value[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    CHECK_OK(gossip_set(a, KEY("large"), "", value, sizeof value, NULL, 0));
    CHECK_OK(gossip_set(a, KEY("one"), "", value, 1, NULL, 0));
    CHECK_OK(gossip_wait_for_members(b, 2, PATIENCE_MS));
    for (i = 0; i < PATIENCE_MS / 2 && !same; ++i) {
        CHECK_OK(gossip_get(b, "a", KEY("large"), 0, &list));
        if (gossip_entries_len(list) == 1) {
            const uint8_t *found = gossip_entry_value(gossip_entries_at(list, 0), &len);
            same = len == sizeof value && memcmp(found, value, len) == 0;
        }
        gossip_entries_free(list);
        if (!same) check_pause();
    }
    CHECK(same);
    CHECK_OK(gossip_close(b));
    CHECK_OK(gossip_close(a));
}

TEST(members_are_listed_with_tags_and_addresses) {
    char seed[128], settings[512];
    gossip_members *list = NULL;
    gossip_node a, b = {0};
    size_t i, len = 0;
    int seen_self = 0, seen_other = 0;
    a = open_node("state", "a", NULL);
    CHECK_STILL();
    address_of(a, seed, sizeof seed);
    CHECK_EQ(strncmp(seed, "127.0.0.1:", 10), 0);
    snprintf(settings, sizeof settings, "cluster=state\nid=b\nbind=127.0.0.1:0\nseeds=%s\ntags=role=second,zone=x\n", seed);
    CHECK_OK(gossip_open_text(settings, &b, NULL, 0));
    CHECK_OK(gossip_wait_for_members(a, 2, PATIENCE_MS));
    CHECK_OK(gossip_wait_for_members(b, 2, PATIENCE_MS));
    CHECK_OK(gossip_wait_synced(b, PATIENCE_MS));
    CHECK_OK(gossip_members_get(a, 0, &list));
    CHECK_EQ(gossip_members_len(list), 2);
    for (i = 0; i < 2; ++i) {
        const gossip_member *member = gossip_members_at(list, i);
        CHECK_EQ(gossip_member_status(member), GOSSIP_MEMBER_ALIVE);
        CHECK(gossip_member_generation(member) > 0);
        CHECK(gossip_member_status_age_ms(member) >= 0);
        CHECK(gossip_member_rtt_us(member) >= -1);
        if (gossip_member_is_self(member)) {
            seen_self = 1;
            CHECK_TEXT(gossip_member_id(member, &len), "a");
            CHECK_TEXT(gossip_member_address(member, &len), seed);
            CHECK_EQ(gossip_member_tag_count(member), 0);
        } else {
            seen_other = 1;
            CHECK_TEXT(gossip_member_id(member, &len), "b");
            CHECK_EQ(gossip_member_tag_count(member), 2);
            CHECK_TEXT(gossip_member_tag_name(member, 0, &len), "role");
            CHECK_EQ(len, 4);
            CHECK_TEXT(gossip_member_tag_value(member, 0, NULL), "second");
            CHECK_TEXT(gossip_member_tag_name(member, 1, NULL), "zone");
            CHECK_TEXT(gossip_member_tag_value(member, 1, &len), "x");
            CHECK(gossip_member_tag_name(member, 2, NULL) == NULL && gossip_member_tag_value(member, 2, NULL) == NULL);
        }
    }
    CHECK(seen_self && seen_other);
    packed_is_members(list);
    gossip_members_free(list);

    /* Departed ones only when asked for. */
    CHECK_OK(gossip_leave(b, PATIENCE_MS));
    CHECK_OK(gossip_close(b));
    for (i = 0; i < PATIENCE_MS / 2; ++i) {
        CHECK_OK(gossip_members_get(a, 0, &list));
        len = gossip_members_len(list);
        gossip_members_free(list);
        if (len == 1) break;
        check_pause();
    }
    CHECK_EQ(len, 1);
    CHECK_OK(gossip_members_get(a, GOSSIP_GET_DEPARTED, &list));
    CHECK_EQ(gossip_members_len(list), 2);
    packed_is_members(list);
    gossip_members_free(list);
    CHECK_OK(gossip_close(a));
}

TEST(waiting_ends_when_time_is_up_and_states_are_told) {
    int32_t state = 0;
    const gossip_node node = open_node("state", NULL, NULL);
    CHECK_STILL();
    CHECK_STATUS(gossip_wait_for_members(node, 2, 0), GOSSIP_ERR_TIMEOUT);
    CHECK_STATUS(gossip_wait_for_members(node, 2, 20), GOSSIP_ERR_TIMEOUT);
    CHECK_OK(gossip_wait_for_members(node, 1, PATIENCE_MS));
    CHECK_OK(gossip_wait_synced(node, PATIENCE_MS));
    CHECK_OK(gossip_state(node, &state));
    CHECK_EQ(state, GOSSIP_STATE_ALONE);
    (void)gossip_leave(node, PATIENCE_MS);
    CHECK_OK(gossip_state(node, &state));
    CHECK_EQ(state, GOSSIP_STATE_LEFT);
    CHECK_STATUS(gossip_set_int(node, KEY("late"), 1, NULL, 0), GOSSIP_ERR_LEFT);
    CHECK_OK(gossip_close(node));
    CHECK_STATUS(gossip_state(node, &state), GOSSIP_ERR_CLOSED);
}

TEST(pages_are_texts_that_say_something) {
    gossip_bytes *page = NULL;
    size_t len = 0;
    const gossip_node node = open_node("state", "the-node", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_set_text(node, KEY("snap:key"), KEY("snap value"), NULL, 0));
#define PAGE(call, word)                                                                 \
    CHECK_OK(call);                                                                      \
    CHECK(gossip_bytes_data(page, &len) != NULL && len > 0);                             \
    CHECK_EQ(strlen((const char *)gossip_bytes_data(page, NULL)), len);                  \
    CHECK(strstr((const char *)gossip_bytes_data(page, NULL), word) != NULL);            \
    gossip_bytes_free(page)
    PAGE(gossip_describe(node, &page), "the-node");
    PAGE(gossip_describe(node, &page), "127.0.0.1:");
    PAGE(gossip_snapshot(node, GOSSIP_FORMAT_JSON, &page), "snap:key");
    PAGE(gossip_metrics(node, GOSSIP_FORMAT_JSON, &page), "{");
    PAGE(gossip_metrics(node, GOSSIP_FORMAT_PROMETHEUS, &page), "# TYPE ");
    CHECK_OK(gossip_offsets(node, &page));
    CHECK(gossip_bytes_data(page, &len)[0] == '{' || gossip_bytes_data(page, &len)[0] == '[');
    gossip_bytes_free(page);
    CHECK_OK(gossip_close(node));
}

/* Reads one protobuf varint. */
static uint64_t varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    int shift = 0;
    while (*at < end && shift < 64) {
        const uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) break;
        shift += 7;
    }
    return value;
}

TEST(a_snapshot_is_a_gossip_state_of_proto_actor) {
    gossip_bytes *page = NULL;
    size_t len = 0;
    const uint8_t *at, *end, *map_end;
    const gossip_node node = open_node("state", "snap-id", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_set(node, KEY("k"), "t/T", "v", 1, NULL, 0));
    CHECK_OK(gossip_snapshot(node, GOSSIP_FORMAT_PROTOBUF, &page));
    at = gossip_bytes_data(page, &len);
    end = at + len;
    /* GossipState { members = 1: map<string, GossipMemberState> }: one member, so one map entry { 1: id, 2: state }. */
    CHECK_EQ(varint(&at, end), 1 << 3 | 2);
    CHECK_EQ(varint(&at, end), (uint64_t)(end - at));
    map_end = end;
    CHECK_EQ(varint(&at, map_end), 1 << 3 | 2);
    CHECK_EQ(varint(&at, map_end), 7);
    CHECK_EQ(memcmp(at, "snap-id", 7), 0);
    at += 7;
    CHECK_EQ(varint(&at, map_end), 2 << 3 | 2);
    CHECK_EQ(varint(&at, map_end), (uint64_t)(map_end - at));
    /* GossipMemberState { values = 1: map<string, GossipKeyValue> } */
    CHECK_EQ(varint(&at, map_end), 1 << 3 | 2);
    gossip_bytes_free(page);
    CHECK_OK(gossip_close(node));
}

int main(void) {
    RUN(values_of_every_kind_come_back_as_themselves);
    RUN(set_plain_is_the_same_as_the_named_forms);
    RUN(keys_may_hold_zero_bytes_and_any_character);
    RUN(sequence_numbers_rise_with_sets_and_deletes);
    RUN(a_time_to_live_ends);
    RUN(values_of_60_kB_reach_a_peer_unchanged);
    RUN(members_are_listed_with_tags_and_addresses);
    RUN(waiting_ends_when_time_is_up_and_states_are_told);
    RUN(pages_are_texts_that_say_something);
    RUN(a_snapshot_is_a_gossip_state_of_proto_actor);
    return check_end();
}
