/* Cluster Gossip for hosts that have only dlopen and dlsym: a table of the library's functions, found at run time.
 * C11 and C++17. Needs cluster_gossip.h for the types, but no symbol of the library at link time (glibc before 2.34: -ldl).
 *
 *     cluster_gossip_dl gossip;
 *     char message[CLUSTER_GOSSIP_DL_MESSAGE];
 *     if (cluster_gossip_dl_open(&gossip, NULL, message, sizeof message) != 0) { complain(message); return; }
 *     gossip.gossip_open_text("cluster=shop", &node, NULL, 0);
 */
#ifndef CLUSTER_GOSSIP_DL_H
#define CLUSTER_GOSSIP_DL_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_gossip.h"

/* Where it is looked for when neither a path nor the environment names a file. */
#define CLUSTER_GOSSIP_DL_SONAME "libcluster_gossip.so.1"
/* The environment variable that names a file. */
#define CLUSTER_GOSSIP_DL_VARIABLE "CLUSTER_GOSSIP_LIBRARY"
/* Bytes for a message of cluster_gossip_dl_open; a longer one (it may hold two paths) is cut. */
#define CLUSTER_GOSSIP_DL_MESSAGE 1024

/* Every function of cluster_gossip.h, once. */
#define CLUSTER_GOSSIP_FUNCTIONS(X) \
    X(gossip_abi_version) \
    X(gossip_version) \
    X(gossip_status_count) \
    X(gossip_status_at) \
    X(gossip_status_name) \
    X(gossip_status_text) \
    X(gossip_status_can_retry) \
    X(gossip_setting_count) \
    X(gossip_setting_name) \
    X(gossip_setting_type) \
    X(gossip_setting_unit) \
    X(gossip_setting_default) \
    X(gossip_setting_bounds) \
    X(gossip_setting_text) \
    X(gossip_setting_flags) \
    X(gossip_config_new) \
    X(gossip_config_set) \
    X(gossip_config_get) \
    X(gossip_config_free) \
    X(gossip_open) \
    X(gossip_open_text) \
    X(gossip_reconfigure) \
    X(gossip_setting_get) \
    X(gossip_state) \
    X(gossip_self) \
    X(gossip_leave) \
    X(gossip_leave_nowait) \
    X(gossip_close) \
    X(gossip_close_nowait) \
    X(gossip_wait_for_members) \
    X(gossip_wait_synced) \
    X(gossip_describe) \
    X(gossip_snapshot) \
    X(gossip_offsets) \
    X(gossip_metrics) \
    X(gossip_ban) \
    X(gossip_unban) \
    X(gossip_bans) \
    X(gossip_statistic_set) \
    X(gossip_statistic_delete) \
    X(gossip_set) \
    X(gossip_set_with) \
    X(gossip_set_plain) \
    X(gossip_set_text) \
    X(gossip_set_bool) \
    X(gossip_set_int) \
    X(gossip_set_double) \
    X(gossip_delete) \
    X(gossip_get) \
    X(gossip_get_own) \
    X(gossip_entries_len) \
    X(gossip_entries_at) \
    X(gossip_entries_packed) \
    X(gossip_entries_free) \
    X(gossip_entry_member) \
    X(gossip_entry_key) \
    X(gossip_entry_type_url) \
    X(gossip_entry_value) \
    X(gossip_entry_value_kind) \
    X(gossip_entry_text) \
    X(gossip_entry_bool) \
    X(gossip_entry_int) \
    X(gossip_entry_double) \
    X(gossip_entry_seq) \
    X(gossip_entry_generation) \
    X(gossip_entry_age_ms) \
    X(gossip_entry_member_status) \
    X(gossip_members_get) \
    X(gossip_members_len) \
    X(gossip_members_at) \
    X(gossip_members_packed) \
    X(gossip_members_free) \
    X(gossip_member_id) \
    X(gossip_member_generation) \
    X(gossip_member_address) \
    X(gossip_member_status) \
    X(gossip_member_is_self) \
    X(gossip_member_status_age_ms) \
    X(gossip_member_rtt_us) \
    X(gossip_member_tag_count) \
    X(gossip_member_tag_name) \
    X(gossip_member_tag_value) \
    X(gossip_subscribe) \
    X(gossip_subscribe_queue) \
    X(gossip_unsubscribe) \
    X(gossip_unsubscribe_nowait) \
    X(gossip_queue_new) \
    X(gossip_queue_fd) \
    X(gossip_queue_take) \
    X(gossip_queue_wake) \
    X(gossip_queue_free) \
    X(gossip_events_len) \
    X(gossip_events_at) \
    X(gossip_events_packed) \
    X(gossip_events_free) \
    X(gossip_event_kind) \
    X(gossip_event_tag) \
    X(gossip_event_node) \
    X(gossip_event_sub) \
    X(gossip_event_conflated) \
    X(gossip_event_code) \
    X(gossip_event_text) \
    X(gossip_event_target) \
    X(gossip_event_entry) \
    X(gossip_event_member) \
    X(gossip_bytes_data) \
    X(gossip_bytes_free)

#ifdef __cplusplus
#define CLUSTER_GOSSIP_DL_MEMBER(name) decltype(&::name) name;
#else
#define CLUSTER_GOSSIP_DL_MEMBER(name) __typeof__(&name) name;
#endif

/* The functions under their own names. Copies are as good as the original until cluster_gossip_dl_close. */
typedef struct cluster_gossip_dl {
    void *handle; /* of dlopen */
    CLUSTER_GOSSIP_FUNCTIONS(CLUSTER_GOSSIP_DL_MEMBER)
} cluster_gossip_dl;

#undef CLUSTER_GOSSIP_DL_MEMBER

/* POSIX gives functions as void *, which ISO C does not convert: the bytes are copied. 0 where there is no such function. */
static inline int cluster_gossip_dl_find(void *handle, const char *name, void *function, size_t size) {
    void *const found = dlsym(handle, name);
    if (found == NULL || size != sizeof found) return 0;
    memcpy(function, &found, size);
    return 1;
}

/* Opens the library: path if it is not NULL; else the file that CLUSTER_GOSSIP_LIBRARY names, if that is set and not empty;
 * else libcluster_gossip.so.1 by the system's rules. Only that one is tried: a wrong path is an error and no reason to
 * take another library. 0 is success. Otherwise -1, *out is all zero, and message (of capacity bytes, may be NULL with 0)
 * says what is wrong, NUL-terminated. */
static inline int cluster_gossip_dl_open(cluster_gossip_dl *out, const char *path, char *message, size_t capacity) {
    const char *name = path;
    const char *why;
    const char *missing = NULL;
    uint32_t found;
    cluster_gossip_dl table;

    memset(&table, 0, sizeof table);
    memset(out, 0, sizeof *out);
    if (capacity > 0) message[0] = '\0';
    if (name == NULL) {
        name = getenv(CLUSTER_GOSSIP_DL_VARIABLE);
        if (name != NULL && name[0] == '\0') name = NULL;
    }
    if (name == NULL) name = CLUSTER_GOSSIP_DL_SONAME;

    table.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (table.handle == NULL) {
        why = dlerror();
        if (capacity > 0) snprintf(message, capacity, "cannot load %s: %s", name, why != NULL ? why : "no reason given");
        return -1;
    }
    /* The version first: a library of another one may well lack functions, and this says why. */
    if (!cluster_gossip_dl_find(table.handle, "gossip_abi_version", &table.gossip_abi_version,
                                sizeof table.gossip_abi_version)) {
        if (capacity > 0) snprintf(message, capacity, "%s is not the Cluster Gossip library: it has no gossip_abi_version", name);
        dlclose(table.handle);
        return -1;
    }
    found = table.gossip_abi_version();
    if (found != GOSSIP_ABI_VERSION) {
        if (capacity > 0)
            snprintf(message, capacity, "%s has ABI version %lu, this program was compiled for %lu", name,
                     (unsigned long)found, (unsigned long)GOSSIP_ABI_VERSION);
        dlclose(table.handle);
        return -1;
    }
#define CLUSTER_GOSSIP_DL_FIND(function) \
    if (!cluster_gossip_dl_find(table.handle, #function, &table.function, sizeof table.function)) missing = #function;
    CLUSTER_GOSSIP_FUNCTIONS(CLUSTER_GOSSIP_DL_FIND)
#undef CLUSTER_GOSSIP_DL_FIND
    if (missing != NULL) {
        if (capacity > 0) snprintf(message, capacity, "%s is older than this program: it has no %s", name, missing);
        dlclose(table.handle);
        return -1;
    }
    *out = table;
    return 0;
}

/* Gives the library back and empties the table. The library stays mapped all the same (it is linked "nodelete"), so that
 * a thread of its own that is just ending is safe; nodes left open go on, and opening again finds them. */
static inline void cluster_gossip_dl_close(cluster_gossip_dl *table) {
    if (table->handle != NULL) dlclose(table->handle);
    memset(table, 0, sizeof *table);
}

#endif
