// What native.go calls: each function makes one crossing from Go to C of what would be several, puts the NUL behind
// texts that Go has without, and keeps buffers on its own stack, so that nothing of Go's has to be allocated for a call.
#ifndef CLUSTERGOSSIP_SHIM_H
#define CLUSTERGOSSIP_SHIM_H

#include <cluster_gossip.h>
#include <stdlib.h>
#include <string.h>

// As a text's length: there is no text, the function gets NULL.
#define SHIM_NONE SIZE_MAX

// Texts that end at their NUL: at most 255 bytes, as ids and type URLs are.
typedef struct {
    char bytes[256];
    const char *text; // bytes, or NULL
} shim_text;

static inline gossip_status shim_text_of(shim_text *out, const char *text, size_t len)
{
    out->text = NULL;
    if (len == SHIM_NONE) return GOSSIP_OK;
    if (len >= sizeof out->bytes || (len && memchr(text, 0, len))) return GOSSIP_ERR_INVALID_ARGUMENT;
    if (len) memcpy(out->bytes, text, len);
    out->bytes[len] = 0;
    out->text = out->bytes;
    return GOSSIP_OK;
}

typedef struct {
    gossip_status status;
    uint64_t seq;
    char *message; // to be freed; NULL on success and where memory is used up
} shim_set_result;

// Sets an entry. kind is GOSSIP_VALUE_*; of numbers the value is `bits`, of all others value and value_len. Messages have a type_url.
static inline shim_set_result shim_set(uint64_t node, const char *key, size_t key_len, int32_t kind, const void *value, size_t value_len,
                                       uint64_t bits, const char *type_url, size_t type_url_len, int64_t ttl_ms, uint32_t flags)
{
    shim_set_result result = {GOSSIP_OK, 0, NULL};
    gossip_node id = {node};
    char errbuf[GOSSIP_ERRBUF];
    unsigned char one = bits != 0;
    errbuf[0] = 0;
    if (kind == GOSSIP_VALUE_MESSAGE) {
        shim_text url;
        result.status = shim_text_of(&url, type_url, type_url_len);
        if (result.status == GOSSIP_OK)
            result.status = gossip_set_with(id, key, key_len, url.text, value, value_len, ttl_ms, flags, &result.seq, errbuf, sizeof errbuf);
        else
            strcpy(errbuf, "a type URL has at most 255 bytes, none of them zero");
    } else {
        if (kind == GOSSIP_VALUE_BOOL) {
            value = &one;
            value_len = 1;
        } else if (kind == GOSSIP_VALUE_INT || kind == GOSSIP_VALUE_DOUBLE) {
            value = &bits;
            value_len = sizeof bits;
        }
        result.status = gossip_set_plain(id, key, key_len, kind, value, value_len, ttl_ms, flags, &result.seq, errbuf, sizeof errbuf);
    }
    if (result.status != GOSSIP_OK) {
        size_t len = strlen(errbuf) + 1;
        result.message = malloc(len);
        if (result.message) memcpy(result.message, errbuf, len);
    }
    return result;
}

// A list in its packed form: to be read, then freed with the function that belongs to it.
typedef struct {
    gossip_status status;
    void *list;
    const uint8_t *packed;
    size_t len;
} shim_list;

static inline shim_list shim_entries(gossip_status status, gossip_entries *entries)
{
    shim_list result = {status, NULL, NULL, 0};
    if (status == GOSSIP_OK) {
        result.list = entries;
        result.packed = gossip_entries_packed(entries, &result.len);
    }
    return result;
}

// member_len may be SHIM_NONE: of all members.
static inline shim_list shim_get(uint64_t node, const char *member, size_t member_len, const char *key, size_t key_len, uint32_t flags)
{
    gossip_node id = {node};
    gossip_entries *entries = NULL;
    shim_text who;
    gossip_status status = shim_text_of(&who, member, member_len);
    if (status == GOSSIP_OK) status = gossip_get(id, who.text, key, key_len, flags, &entries);
    return shim_entries(status, entries);
}

static inline shim_list shim_get_own(uint64_t node, const char *key, size_t key_len)
{
    gossip_node id = {node};
    gossip_entries *entries = NULL;
    gossip_status status = gossip_get_own(id, key, key_len, &entries);
    return shim_entries(status, entries);
}

static inline shim_list shim_members(gossip_status status, gossip_members *members)
{
    shim_list result = {status, NULL, NULL, 0};
    if (status == GOSSIP_OK) {
        result.list = members;
        result.packed = gossip_members_packed(members, &result.len);
    }
    return result;
}

static inline shim_list shim_take(uint64_t queue, size_t max, int32_t timeout_ms)
{
    gossip_queue id = {queue};
    gossip_events *events = NULL;
    shim_list result = {GOSSIP_OK, NULL, NULL, 0};
    result.status = gossip_queue_take(id, max, timeout_ms, &events);
    if (result.status == GOSSIP_OK) {
        result.list = events;
        result.packed = gossip_events_packed(events, &result.len);
    }
    return result;
}

// member_len and key_len may be SHIM_NONE: about any.
static inline gossip_status shim_subscribe(uint64_t node, uint32_t what, const char *member, size_t member_len, const char *key, size_t key_len,
                                           uint32_t flags, uint64_t queue)
{
    gossip_node id = {node};
    gossip_queue sink = {queue};
    gossip_sub sub;
    shim_text who;
    gossip_status status = shim_text_of(&who, member, member_len);
    if (status != GOSSIP_OK) return status;
    if (key_len == SHIM_NONE) return gossip_subscribe_queue(id, what, who.text, NULL, 0, flags, sink, 0, &sub);
    return gossip_subscribe_queue(id, what, who.text, key, key_len, flags, sink, 0, &sub);
}

#endif
