/* Cluster Gossip: DRAFT contract, soon replaced by the header that cbindgen generates from src/ffi (same declarations). */
#ifndef CLUSTER_GOSSIP_H
#define CLUSTER_GOSSIP_H
#include <stddef.h>
#include <stdint.h>

/* ---- constants ---- */
#define GOSSIP_ABI_VERSION 1
#define GOSSIP_VERSION_NUMBER 0x00010000      /* 0xMMmmpp00 */
#define GOSSIP_NUL SIZE_MAX                   /* as a key's length: the key ends at its NUL */
#define GOSSIP_ERRBUF 512                     /* no message of errbuf is longer, NUL included */

/* statuses: 0 ok, errors negative, never reused */
#define GOSSIP_OK 0
#define GOSSIP_ERR_INVALID_ARGUMENT -1        /* NULL where none may be, bad UTF-8, a length or flag out of range */
#define GOSSIP_ERR_INVALID_HANDLE -2          /* id is 0, of another kind, or was never handed out */
#define GOSSIP_ERR_CLOSED -3                  /* the object was closed before or during the call */
#define GOSSIP_ERR_TIMEOUT -4
#define GOSSIP_ERR_NOT_FOUND -5
#define GOSSIP_ERR_UNKNOWN_SETTING -6
#define GOSSIP_ERR_BAD_SETTING -7
#define GOSSIP_ERR_NOT_LIVE -8                /* the setting cannot change after open */
#define GOSSIP_ERR_RESERVED_KEY -9            /* key begins with "cluster:" */
#define GOSSIP_ERR_INVALID_KEY -10            /* empty, over 255 bytes, not UTF-8 */
#define GOSSIP_ERR_VALUE_TOO_LARGE -11
#define GOSSIP_ERR_LIMIT -12                  /* max_keys_per_member, max_state_size_per_member */
#define GOSSIP_ERR_BUSY -13                   /* another thread is taking from this queue */
#define GOSSIP_ERR_WOULD_DEADLOCK -14         /* a waiting form was called inside a callback */
#define GOSSIP_ERR_FORKED -15                 /* the id belongs to the parent of this forked process */
#define GOSSIP_ERR_BIND -16
#define GOSSIP_ERR_ADVERTISE -17              /* no address could be chosen to tell to others */
#define GOSSIP_ERR_ID_TAKEN -18
#define GOSSIP_ERR_LEFT -19                   /* the node has left the cluster */
#define GOSSIP_ERR_BANNED -20
#define GOSSIP_ERR_WRONG_TYPE -21             /* the value is of another type than asked for */
#define GOSSIP_ERR_NOT_SUPPORTED -22
#define GOSSIP_ERR_NO_RESOURCES -23           /* memory, threads or file descriptors */
#define GOSSIP_ERR_PANIC -24                  /* a bug in the library was caught at the border */
#define GOSSIP_ERR_FAILED -25                 /* the node's task died */
#define GOSSIP_ERR_INTERRUPTED -26            /* gossip_queue_wake ended the wait */

/* node states */
#define GOSSIP_STATE_STARTING 1
#define GOSSIP_STATE_JOINED 2
#define GOSSIP_STATE_ALONE 3                  /* no seeds, or none but itself: a cluster of one so far */
#define GOSSIP_STATE_LEAVING 4
#define GOSSIP_STATE_LEFT 5
#define GOSSIP_STATE_BANNED 6
#define GOSSIP_STATE_FAILED 7

/* member statuses */
#define GOSSIP_MEMBER_ALIVE 1
#define GOSSIP_MEMBER_SUSPECT 2
#define GOSSIP_MEMBER_DEAD 3
#define GOSSIP_MEMBER_LEAVING 4
#define GOSSIP_MEMBER_LEFT 5
#define GOSSIP_MEMBER_BANNED 6

/* kinds of value */
#define GOSSIP_VALUE_NONE 0                   /* no value: a deleted entry */
#define GOSSIP_VALUE_BYTES 1                  /* empty type URL */
#define GOSSIP_VALUE_TEXT 2                   /* google.protobuf.StringValue */
#define GOSSIP_VALUE_BOOL 3                   /* google.protobuf.BoolValue */
#define GOSSIP_VALUE_INT 4                    /* google.protobuf.Int64Value */
#define GOSSIP_VALUE_DOUBLE 5                 /* google.protobuf.DoubleValue */
#define GOSSIP_VALUE_MESSAGE 6                /* any other type URL */

/* flags of gossip_get, gossip_members_get */
#define GOSSIP_GET_DEPARTED 1u                /* also members that are dead, left, banned (state is kept for a grace period) */
#define GOSSIP_GET_PREFIX 2u                  /* key is a prefix; empty: every key, the well-known ones too */
/* flags of gossip_set_* */
#define GOSSIP_SET_IF_CHANGED 1u              /* no new sequence number if type and value are what is there */
/* flags of subscriptions */
#define GOSSIP_SUB_INITIAL 1u                 /* what exists comes first, then GOSSIP_EVENT_INITIAL_DONE */
#define GOSSIP_SUB_NO_SELF 2u                 /* nothing about the node's own entries and membership */
#define GOSSIP_SUB_PREFIX 4u                  /* key is a prefix */

/* kinds of event: each one bit, so that a mask chooses them */
#define GOSSIP_EVENT_ENTRY_CHANGED 0x1u       /* an entry was set, for the first time or again */
#define GOSSIP_EVENT_ENTRY_DELETED 0x2u       /* deleted or expired */
#define GOSSIP_EVENT_ENTRY_REFUSED 0x4u       /* a member's entry is over this node's limits and not kept here; text says why */
#define GOSSIP_EVENT_MEMBER_JOINED 0x10u
#define GOSSIP_EVENT_MEMBER_SUSPECTED 0x20u
#define GOSSIP_EVENT_MEMBER_ALIVE 0x40u       /* again, after suspicion or death */
#define GOSSIP_EVENT_MEMBER_DEAD 0x80u
#define GOSSIP_EVENT_MEMBER_LEFT 0x100u
#define GOSSIP_EVENT_MEMBER_RESTARTED 0x200u  /* same id, new generation */
#define GOSSIP_EVENT_MEMBER_UPDATED 0x400u    /* tags or address */
#define GOSSIP_EVENT_MEMBER_BANNED 0x800u
#define GOSSIP_EVENT_MEMBER_UNBANNED 0x1000u
#define GOSSIP_EVENT_MEMBER_REMOVED 0x2000u   /* its state is gone from this node */
#define GOSSIP_EVENT_NODE_STATE 0x10000u      /* code: GOSSIP_STATE_*, text: why */
#define GOSSIP_EVENT_SYNCED 0x20000u          /* this node has once been equal to a peer, or is alone without seeds */
#define GOSSIP_EVENT_CONSENSUS 0x40000u       /* reserved */
#define GOSSIP_EVENT_TOPOLOGY 0x80000u        /* reserved */
#define GOSSIP_EVENT_WARNING 0x100000u        /* something silent is wrong; text in words, rate-limited */
#define GOSSIP_EVENT_LOG 0x200000u            /* code: GOSSIP_LOG_*, target and text */
#define GOSSIP_EVENT_INITIAL_DONE 0x10000000u /* comes unasked where GOSSIP_SUB_INITIAL was given */
#define GOSSIP_EVENT_CLOSED 0x20000000u       /* comes unasked: the node was closed, the subscription has ended */
#define GOSSIP_EVENTS_ENTRIES 0x7u
#define GOSSIP_EVENTS_MEMBERS 0x3ff0u
#define GOSSIP_EVENTS_NODE 0xf0000u
#define GOSSIP_EVENTS_ALL 0xfffffu            /* entries, members, node; not warnings and log lines */

#define GOSSIP_LOG_ERROR 1
#define GOSSIP_LOG_WARN 2
#define GOSSIP_LOG_INFO 3
#define GOSSIP_LOG_DEBUG 4
#define GOSSIP_LOG_TRACE 5

/* formats */
#define GOSSIP_FORMAT_PROTOBUF 1              /* cluster.gossip.GossipState, as Proto.Actor encodes it */
#define GOSSIP_FORMAT_JSON 2
#define GOSSIP_FORMAT_PROMETHEUS 3

/* flags of a setting */
#define GOSSIP_SETTING_LIVE 1u
#define GOSSIP_SETTING_SECRET 2u

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t gossip_status;

/* Shared objects: an id each, passed by value (like a uint64_t), below 2^53, 0 is none. */
typedef struct gossip_config { uint64_t id; } gossip_config;
typedef struct gossip_node { uint64_t id; } gossip_node;
typedef struct gossip_queue { uint64_t id; } gossip_queue;
typedef struct gossip_sub { uint64_t id; } gossip_sub;
/* Owned, read-only: freed once by their _free (NULL allowed), any thread, no node needed. */
typedef struct gossip_entries gossip_entries;
typedef struct gossip_members gossip_members;
typedef struct gossip_events gossip_events;
typedef struct gossip_bytes gossip_bytes;
/* Borrowed from a list or event: live as long as it. */
typedef struct gossip_entry gossip_entry;
typedef struct gossip_member gossip_member;
typedef struct gossip_event gossip_event;

typedef void (*gossip_event_fn)(void *user, const gossip_event *event);
typedef void (*gossip_drop_fn)(void *user);

/* ---- library ---- */
uint32_t gossip_abi_version(void);
const char *gossip_version(void);
size_t gossip_status_count(void);
gossip_status gossip_status_at(size_t index);            /* the number; 0 past the end */
const char *gossip_status_name(gossip_status status);    /* "GOSSIP_ERR_TIMEOUT"; unknown numbers have a name of their own */
const char *gossip_status_text(gossip_status status);    /* a sentence */
int32_t gossip_status_can_retry(gossip_status status);   /* 1: the same call may succeed later */
size_t gossip_setting_count(void);
const char *gossip_setting_name(size_t index);           /* NULL past the end, like all below */
const char *gossip_setting_type(size_t index);           /* text, list, integer, duration, size, choice */
const char *gossip_setting_unit(size_t index);
const char *gossip_setting_default(size_t index);
const char *gossip_setting_bounds(size_t index);         /* "1..100", or the choices, or "" */
const char *gossip_setting_text(size_t index);
uint32_t gossip_setting_flags(size_t index);

/* ---- configuration: strings in, checked one by one here and against each other at open ---- */
gossip_status gossip_config_new(gossip_config *out);
gossip_status gossip_config_set(gossip_config config, const char *name, const char *value, char *errbuf, size_t errbuf_len);
gossip_status gossip_config_get(gossip_config config, const char *name, gossip_bytes **out);
gossip_status gossip_config_free(gossip_config config);

/* ---- node ---- */
gossip_status gossip_open(gossip_config config, gossip_node *out, char *errbuf, size_t errbuf_len);      /* config stays yours */
gossip_status gossip_open_text(const char *settings, gossip_node *out, char *errbuf, size_t errbuf_len); /* "name=value" lines; # comments */
gossip_status gossip_reconfigure(gossip_node node, const char *name, const char *value, char *errbuf, size_t errbuf_len);
gossip_status gossip_setting_get(gossip_node node, const char *name, gossip_bytes **out);                /* effective value */
gossip_status gossip_state(gossip_node node, int32_t *out);
gossip_status gossip_self(gossip_node node, gossip_members **out);       /* a list of one: this node's own member record */
gossip_status gossip_leave(gossip_node node, int32_t timeout_ms);        /* waits; OK acknowledged, TIMEOUT: said, not acknowledged by enough */
gossip_status gossip_leave_nowait(gossip_node node);                     /* sends the notice; GOSSIP_EVENT_NODE_STATE tells the end */
gossip_status gossip_close(gossip_node node);                            /* waits for the threads' part; without leave it is a crash to the others */
gossip_status gossip_close_nowait(gossip_node node);
gossip_status gossip_wait_for_members(gossip_node node, size_t alive, int32_t timeout_ms);  /* alive counts this node */
gossip_status gossip_wait_synced(gossip_node node, int32_t timeout_ms);
gossip_status gossip_describe(gossip_node node, gossip_bytes **out);     /* a page of text for people */
gossip_status gossip_snapshot(gossip_node node, int32_t format, gossip_bytes **out);   /* PROTOBUF, JSON */
gossip_status gossip_offsets(gossip_node node, gossip_bytes **out);      /* committed offsets, target x owner, as JSON */
gossip_status gossip_metrics(gossip_node node, int32_t format, gossip_bytes **out);    /* JSON (one flat object), PROMETHEUS */

/* ---- state ---- */
gossip_status gossip_set(gossip_node node, const char *key, size_t key_len, const char *type_url,
                         const void *value, size_t value_len, char *errbuf, size_t errbuf_len);
gossip_status gossip_set_with(gossip_node node, const char *key, size_t key_len, const char *type_url,
                              const void *value, size_t value_len, int64_t ttl_ms /* 0: none */, uint32_t flags,
                              uint64_t *seq /* may be NULL */, char *errbuf, size_t errbuf_len);
/* Plain values, encoded by the core so that every language reads its own type. value: TEXT: UTF-8; BOOL: 1 byte;
   INT: int64_t; DOUBLE: double (native byte order, any alignment); BYTES: as is. */
gossip_status gossip_set_plain(gossip_node node, const char *key, size_t key_len, int32_t value_kind,
                               const void *value, size_t value_len, int64_t ttl_ms, uint32_t flags,
                               uint64_t *seq, char *errbuf, size_t errbuf_len);
gossip_status gossip_set_text(gossip_node node, const char *key, size_t key_len, const char *text, size_t text_len, char *errbuf, size_t errbuf_len);
gossip_status gossip_set_bool(gossip_node node, const char *key, size_t key_len, int32_t value, char *errbuf, size_t errbuf_len);
gossip_status gossip_set_int(gossip_node node, const char *key, size_t key_len, int64_t value, char *errbuf, size_t errbuf_len);
gossip_status gossip_set_double(gossip_node node, const char *key, size_t key_len, double value, char *errbuf, size_t errbuf_len);
gossip_status gossip_delete(gossip_node node, const char *key, size_t key_len);        /* NOT_FOUND if there is none */
gossip_status gossip_get(gossip_node node, const char *member /* NULL: all */, const char *key, size_t key_len,
                         uint32_t flags, gossip_entries **out);        /* OK with an empty list if there is none */
gossip_status gossip_get_own(gossip_node node, const char *key, size_t key_len, gossip_entries **out);

size_t gossip_entries_len(const gossip_entries *entries);
const gossip_entry *gossip_entries_at(const gossip_entries *entries, size_t index);   /* NULL past the end */
const uint8_t *gossip_entries_packed(const gossip_entries *entries, size_t *len);     /* docs/events.md; lives as long as the list */
void gossip_entries_free(gossip_entries *entries);
/* texts: *len (may be NULL) is without the NUL that follows */
const char *gossip_entry_member(const gossip_entry *entry, size_t *len);
const char *gossip_entry_key(const gossip_entry *entry, size_t *len);
const char *gossip_entry_type_url(const gossip_entry *entry, size_t *len);
const uint8_t *gossip_entry_value(const gossip_entry *entry, size_t *len);            /* never NULL */
int32_t gossip_entry_value_kind(const gossip_entry *entry);
const char *gossip_entry_text(const gossip_entry *entry, size_t *len);                /* NULL if not TEXT; no NUL follows it */
gossip_status gossip_entry_bool(const gossip_entry *entry, int32_t *out);             /* WRONG_TYPE */
gossip_status gossip_entry_int(const gossip_entry *entry, int64_t *out);
gossip_status gossip_entry_double(const gossip_entry *entry, double *out);
uint64_t gossip_entry_seq(const gossip_entry *entry);
uint64_t gossip_entry_generation(const gossip_entry *entry);
int64_t gossip_entry_age_ms(const gossip_entry *entry);           /* since this node received (or set) it, when it was read */
int32_t gossip_entry_member_status(const gossip_entry *entry);

/* ---- members ---- */
gossip_status gossip_members_get(gossip_node node, uint32_t flags, gossip_members **out);
size_t gossip_members_len(const gossip_members *members);
const gossip_member *gossip_members_at(const gossip_members *members, size_t index);
const uint8_t *gossip_members_packed(const gossip_members *members, size_t *len);
void gossip_members_free(gossip_members *members);
const char *gossip_member_id(const gossip_member *member, size_t *len);
uint64_t gossip_member_generation(const gossip_member *member);
const char *gossip_member_address(const gossip_member *member, size_t *len);          /* "10.0.0.7:4711", "[::1]:4711" */
int32_t gossip_member_status(const gossip_member *member);
int32_t gossip_member_is_self(const gossip_member *member);
int64_t gossip_member_status_age_ms(const gossip_member *member);
int64_t gossip_member_rtt_us(const gossip_member *member);                            /* -1: not measured */
size_t gossip_member_tag_count(const gossip_member *member);
const char *gossip_member_tag_name(const gossip_member *member, size_t index, size_t *len);
const char *gossip_member_tag_value(const gossip_member *member, size_t index, size_t *len);

/* ---- changes ---- */
gossip_status gossip_subscribe(gossip_node node, uint32_t what, const char *member /* NULL: any */,
                               const char *key /* NULL: any */, size_t key_len, uint32_t flags,
                               gossip_event_fn fn, void *user, gossip_drop_fn drop /* may be NULL */, gossip_sub *out);
gossip_status gossip_subscribe_queue(gossip_node node, uint32_t what, const char *member, const char *key, size_t key_len,
                                     uint32_t flags, gossip_queue queue, uint64_t tag, gossip_sub *out);
gossip_status gossip_unsubscribe(gossip_sub sub);
gossip_status gossip_unsubscribe_nowait(gossip_sub sub);
gossip_status gossip_queue_new(size_t lines /* of warnings and log kept per subscription; 0: 1024 */, gossip_queue *out);
gossip_status gossip_queue_fd(gossip_queue queue, int32_t *fd);   /* eventfd: poll it for reading, never read or close it */
gossip_status gossip_queue_take(gossip_queue queue, size_t max, int32_t timeout_ms, gossip_events **out); /* TIMEOUT, INTERRUPTED, BUSY, CLOSED */
gossip_status gossip_queue_wake(gossip_queue queue);
gossip_status gossip_queue_free(gossip_queue queue);              /* ends its subscriptions; a take in progress answers CLOSED */
size_t gossip_events_len(const gossip_events *events);
const gossip_event *gossip_events_at(const gossip_events *events, size_t index);
const uint8_t *gossip_events_packed(const gossip_events *events, size_t *len);
void gossip_events_free(gossip_events *events);
uint32_t gossip_event_kind(const gossip_event *event);
uint64_t gossip_event_tag(const gossip_event *event);
uint64_t gossip_event_node(const gossip_event *event);            /* the id inside gossip_node */
uint64_t gossip_event_sub(const gossip_event *event);             /* the id inside gossip_sub */
uint64_t gossip_event_conflated(const gossip_event *event);       /* how many changes it stands for, itself included */
int32_t gossip_event_code(const gossip_event *event);             /* NODE_STATE, WARNING, LOG: see the kind */
const char *gossip_event_text(const gossip_event *event, size_t *len);
const char *gossip_event_target(const gossip_event *event, size_t *len);      /* LOG: the part of the library that speaks */
const gossip_entry *gossip_event_entry(const gossip_event *event);            /* NULL where the kind has none */
const gossip_member *gossip_event_member(const gossip_event *event);          /* NULL where the kind has none */

const uint8_t *gossip_bytes_data(const gossip_bytes *bytes, size_t *len);     /* a NUL follows */
void gossip_bytes_free(gossip_bytes *bytes);
#ifdef __cplusplus
}
#endif
#endif
