/* Reads the packed form of docs/events.md and compares it, field by field, with what the accessors say. */
#ifndef PACKED_H
#define PACKED_H

#include "check.h"

typedef struct packed {
    uint32_t size, head, kind;
    int32_t status;
    uint64_t tag, node, sub, conflated, seq, generation;
    int64_t age_ms, number;
    int32_t code;
    uint32_t value_kind, plain_off;
    uint32_t lens[5]; /* member, key, type URL, value, text */
    const uint8_t *texts[5];
} packed;

static inline uint64_t packed_number(const uint8_t *at, int bytes) {
    uint64_t number = 0;
    while (bytes-- > 0) number = number << 8 | at[bytes];
    return number;
}

/* The record at `at`, of which `left` bytes exist; 0 where it is malformed. */
static inline int packed_read(const uint8_t *at, size_t left, packed *out) {
    uint64_t end;
    int i;
    if (left < 112) return 0;
    out->size = (uint32_t)packed_number(at, 4);
    out->head = (uint32_t)packed_number(at + 4, 4);
    out->kind = (uint32_t)packed_number(at + 8, 4);
    out->status = (int32_t)packed_number(at + 12, 4);
    out->tag = packed_number(at + 16, 8);
    out->node = packed_number(at + 24, 8);
    out->sub = packed_number(at + 32, 8);
    out->conflated = packed_number(at + 40, 8);
    out->seq = packed_number(at + 48, 8);
    out->generation = packed_number(at + 56, 8);
    out->age_ms = (int64_t)packed_number(at + 64, 8);
    out->number = (int64_t)packed_number(at + 72, 8);
    out->code = (int32_t)packed_number(at + 80, 4);
    out->value_kind = (uint32_t)packed_number(at + 84, 4);
    for (i = 0; i < 5; ++i) out->lens[i] = (uint32_t)packed_number(at + 88 + 4 * i, 4);
    out->plain_off = (uint32_t)packed_number(at + 108, 4);
    if (out->size % 8 != 0 || out->size > left || out->head != 112) return 0;
    end = out->head;
    for (i = 0; i < 5; ++i) {
        out->texts[i] = at + end;
        end += out->lens[i];
    }
    if (end > out->size || out->size - end >= 8) return 0;
    for (; end < out->size; ++end)
        if (at[end] != 0) return 0;
    return 1;
}

static inline int packed_text_is(const packed *record, int which, const char *text, size_t len) {
    return record->lens[which] == len && (len == 0 || memcmp(record->texts[which], text, len) == 0);
}

#define PACKED_TEXT(which, accessor, object)                             \
    do {                                                                 \
        size_t packed_len = 0;                                           \
        const char *packed_text = (const char *)accessor(object, &packed_len); \
        CHECK(packed_text_is(record, which, packed_text, packed_len));   \
    } while (0)

static inline void packed_is_entry(const packed *record, const gossip_entry *entry) {
    int32_t flag = 0;
    int64_t integer = 0;
    double number = 0;
    uint64_t bits;
    size_t len = 0, value_len = 0;
    const char *text;
    const uint8_t *value = gossip_entry_value(entry, &value_len);
    PACKED_TEXT(0, gossip_entry_member, entry);
    PACKED_TEXT(1, gossip_entry_key, entry);
    PACKED_TEXT(2, gossip_entry_type_url, entry);
    CHECK(packed_text_is(record, 3, (const char *)value, value_len));
    CHECK_EQ(record->seq, gossip_entry_seq(entry));
    CHECK_EQ(record->generation, gossip_entry_generation(entry));
    CHECK_EQ(record->age_ms, gossip_entry_age_ms(entry));
    CHECK_EQ(record->status, gossip_entry_member_status(entry));
    CHECK_EQ(record->value_kind, gossip_entry_value_kind(entry));
    switch (gossip_entry_value_kind(entry)) {
        case GOSSIP_VALUE_TEXT:
            text = gossip_entry_text(entry, &len);
            CHECK(text != NULL);
            CHECK_EQ(record->number, len);
            CHECK(record->plain_off + len <= value_len);
            CHECK_EQ(memcmp(record->texts[3] + record->plain_off, text, len), 0);
            break;
        case GOSSIP_VALUE_BOOL:
            CHECK_OK(gossip_entry_bool(entry, &flag));
            CHECK_EQ(record->number, flag);
            break;
        case GOSSIP_VALUE_INT:
            CHECK_OK(gossip_entry_int(entry, &integer));
            CHECK_EQ(record->number, integer);
            break;
        case GOSSIP_VALUE_DOUBLE:
            CHECK_OK(gossip_entry_double(entry, &number));
            memcpy(&bits, &number, sizeof bits);
            CHECK_EQ(record->number, (int64_t)bits);
            break;
        default: break;
    }
}

static inline void packed_is_member(const packed *record, const gossip_member *member) {
    char tags[1024] = "";
    size_t i, used = 0, lines;
    PACKED_TEXT(0, gossip_member_id, member);
    PACKED_TEXT(4, gossip_member_address, member);
    CHECK_EQ(record->status, gossip_member_status(member));
    CHECK_EQ(record->generation, gossip_member_generation(member));
    CHECK_EQ(record->age_ms, gossip_member_status_age_ms(member));
    CHECK_EQ(record->number, gossip_member_rtt_us(member));
    for (i = 0; i < gossip_member_tag_count(member); ++i)
        used += (size_t)snprintf(tags + used, sizeof tags - used, "%s%s=%s", i > 0 ? "\n" : "", gossip_member_tag_name(member, i, NULL),
                                 gossip_member_tag_value(member, i, NULL));
    /* Lines with or without an end to the last one. */
    lines = record->lens[3];
    if (lines > 0 && record->texts[3][lines - 1] == '\n') --lines;
    CHECK_EQ(lines, used);
    CHECK_EQ(memcmp(record->texts[3], tags, used), 0);
}

static inline void packed_is_event(const packed *record, const gossip_event *event) {
    size_t len = 0;
    const char *text = gossip_event_text(event, &len);
    CHECK_EQ(record->kind, gossip_event_kind(event));
    CHECK_EQ(record->tag, gossip_event_tag(event));
    CHECK_EQ(record->node, gossip_event_node(event));
    CHECK_EQ(record->sub, gossip_event_sub(event));
    CHECK_EQ(record->conflated, gossip_event_conflated(event));
    if (gossip_event_entry(event) != NULL) packed_is_entry(record, gossip_event_entry(event));
    else if (gossip_event_kind(event) == GOSSIP_EVENT_ENTRY_REFUSED) {
        /* Of the member no more than its id: the text says why its entry was not kept. */
        PACKED_TEXT(0, gossip_member_id, gossip_event_member(event));
        CHECK(packed_text_is(record, 4, text, len));
    } else if (gossip_event_member(event) != NULL) packed_is_member(record, gossip_event_member(event));
    else {
        CHECK_EQ(record->code, gossip_event_code(event));
        CHECK(packed_text_is(record, 4, text, len));
    }
    if (gossip_event_entry(event) == NULL) PACKED_TEXT(1, gossip_event_target, event);
}

/* The packed form of each list has exactly the records that the accessors show. */
static inline void packed_is_events(const gossip_events *events) {
    size_t left = 0, i;
    const uint8_t *at = gossip_events_packed(events, &left);
    packed record;
    for (i = 0; i < gossip_events_len(events); ++i) {
        CHECK(packed_read(at, left, &record));
        packed_is_event(&record, gossip_events_at(events, i));
        CHECK_STILL();
        at += record.size;
        left -= record.size;
    }
    CHECK_EQ(left, 0);
}

static inline void packed_is_entries(const gossip_entries *entries) {
    size_t left = 0, i;
    const uint8_t *at = gossip_entries_packed(entries, &left);
    packed record;
    for (i = 0; i < gossip_entries_len(entries); ++i) {
        CHECK(packed_read(at, left, &record));
        CHECK(record.kind == 0 && record.conflated == 0);
        packed_is_entry(&record, gossip_entries_at(entries, i));
        CHECK_STILL();
        at += record.size;
        left -= record.size;
    }
    CHECK_EQ(left, 0);
}

static inline void packed_is_members(const gossip_members *members) {
    size_t left = 0, i;
    const uint8_t *at = gossip_members_packed(members, &left);
    packed record;
    for (i = 0; i < gossip_members_len(members); ++i) {
        CHECK(packed_read(at, left, &record));
        CHECK(record.kind == 0 && record.conflated == 0);
        CHECK_EQ(record.code, gossip_member_is_self(gossip_members_at(members, i)));
        packed_is_member(&record, gossip_members_at(members, i));
        CHECK_STILL();
        at += record.size;
        left -= record.size;
    }
    CHECK_EQ(left, 0);
}

#endif
