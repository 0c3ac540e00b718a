/* Every macro of the header is used as a program would use it: in #if, in switch, as a size, as a mask. */
#include "check.h"

#if GOSSIP_ABI_VERSION < 1
#error "GOSSIP_ABI_VERSION is for the preprocessor too"
#endif
#if GOSSIP_VERSION_NUMBER < 0x00010000
#error "GOSSIP_VERSION_NUMBER is for the preprocessor too"
#endif
#if !defined(GOSSIP_NUL) || !defined(GOSSIP_ERRBUF)
#error "GOSSIP_NUL and GOSSIP_ERRBUF are macros"
#endif

TEST(version_number_is_the_librarys_version) {
    unsigned major, minor, patch;
    CHECK_EQ(sscanf(gossip_version(), "%u.%u.%u", &major, &minor, &patch), 3);
    CHECK_EQ(GOSSIP_VERSION_NUMBER, (major << 24) | (minor << 16) | (patch << 8));
    CHECK_EQ(gossip_abi_version(), GOSSIP_ABI_VERSION);
}

TEST(nul_is_no_length_that_could_be_meant) {
    CHECK(GOSSIP_NUL == SIZE_MAX);
    CHECK_EQ(GOSSIP_ERRBUF, 512);
}

/* A number that stands twice would be a compile error: duplicate case. */
static const char *status_by_switch(gossip_status status) {
    switch (status) {
#define ROW(name) case name: return #name;
        ROW(GOSSIP_OK)
        ROW(GOSSIP_ERR_INVALID_ARGUMENT)
        ROW(GOSSIP_ERR_INVALID_HANDLE)
        ROW(GOSSIP_ERR_CLOSED)
        ROW(GOSSIP_ERR_TIMEOUT)
        ROW(GOSSIP_ERR_NOT_FOUND)
        ROW(GOSSIP_ERR_UNKNOWN_SETTING)
        ROW(GOSSIP_ERR_BAD_SETTING)
        ROW(GOSSIP_ERR_NOT_LIVE)
        ROW(GOSSIP_ERR_RESERVED_KEY)
        ROW(GOSSIP_ERR_INVALID_KEY)
        ROW(GOSSIP_ERR_VALUE_TOO_LARGE)
        ROW(GOSSIP_ERR_LIMIT)
        ROW(GOSSIP_ERR_BUSY)
        ROW(GOSSIP_ERR_WOULD_DEADLOCK)
        ROW(GOSSIP_ERR_FORKED)
        ROW(GOSSIP_ERR_BIND)
        ROW(GOSSIP_ERR_ADVERTISE)
        ROW(GOSSIP_ERR_ID_TAKEN)
        ROW(GOSSIP_ERR_LEFT)
        ROW(GOSSIP_ERR_BANNED)
        ROW(GOSSIP_ERR_WRONG_TYPE)
        ROW(GOSSIP_ERR_NOT_SUPPORTED)
        ROW(GOSSIP_ERR_NO_RESOURCES)
        ROW(GOSSIP_ERR_PANIC)
        ROW(GOSSIP_ERR_FAILED)
        ROW(GOSSIP_ERR_INTERRUPTED)
#undef ROW
    }
    return NULL;
}

TEST(status_macros_and_the_librarys_table_name_each_other) {
    size_t i;
    for (i = 0; i < gossip_status_count(); ++i) {
        const gossip_status status = gossip_status_at(i);
        CHECK_TEXT(gossip_status_name(status), status_by_switch(status) == NULL ? "(no macro)" : status_by_switch(status));
    }
    CHECK_EQ(gossip_status_count(), 27);
}

TEST(node_states_and_member_statuses_are_distinct) {
    const int states[] = {GOSSIP_STATE_STARTING, GOSSIP_STATE_JOINED, GOSSIP_STATE_ALONE, GOSSIP_STATE_LEAVING,
                          GOSSIP_STATE_LEFT,     GOSSIP_STATE_BANNED, GOSSIP_STATE_FAILED};
    const int members[] = {GOSSIP_MEMBER_ALIVE,   GOSSIP_MEMBER_SUSPECT, GOSSIP_MEMBER_DEAD,
                           GOSSIP_MEMBER_LEAVING, GOSSIP_MEMBER_LEFT,    GOSSIP_MEMBER_BANNED};
    const int values[] = {GOSSIP_VALUE_NONE, GOSSIP_VALUE_BYTES,  GOSSIP_VALUE_TEXT,   GOSSIP_VALUE_BOOL,
                          GOSSIP_VALUE_INT,  GOSSIP_VALUE_DOUBLE, GOSSIP_VALUE_MESSAGE};
    const int levels[] = {GOSSIP_LOG_ERROR, GOSSIP_LOG_WARN, GOSSIP_LOG_INFO, GOSSIP_LOG_DEBUG, GOSSIP_LOG_TRACE};
    const int formats[] = {GOSSIP_FORMAT_PROTOBUF, GOSSIP_FORMAT_JSON, GOSSIP_FORMAT_PROMETHEUS};
    int i;
    for (i = 0; i < 7; ++i) CHECK_EQ(states[i], i + 1);
    for (i = 0; i < 6; ++i) CHECK_EQ(members[i], i + 1);
    for (i = 0; i < 7; ++i) CHECK_EQ(values[i], i);
    for (i = 0; i < 5; ++i) CHECK_EQ(levels[i], i + 1);
    for (i = 0; i < 3; ++i) CHECK_EQ(formats[i], i + 1);
}

TEST(kinds_of_event_are_one_bit_each_and_masks_are_their_sums) {
    const uint32_t entries[] = {GOSSIP_EVENT_ENTRY_CHANGED, GOSSIP_EVENT_ENTRY_DELETED, GOSSIP_EVENT_ENTRY_REFUSED};
    const uint32_t members[] = {GOSSIP_EVENT_MEMBER_JOINED,   GOSSIP_EVENT_MEMBER_SUSPECTED, GOSSIP_EVENT_MEMBER_ALIVE,
                                GOSSIP_EVENT_MEMBER_DEAD,     GOSSIP_EVENT_MEMBER_LEFT,      GOSSIP_EVENT_MEMBER_RESTARTED,
                                GOSSIP_EVENT_MEMBER_UPDATED,  GOSSIP_EVENT_MEMBER_BANNED,    GOSSIP_EVENT_MEMBER_UNBANNED,
                                GOSSIP_EVENT_MEMBER_REMOVED};
    const uint32_t node[] = {GOSSIP_EVENT_NODE_STATE, GOSSIP_EVENT_SYNCED, GOSSIP_EVENT_CONSENSUS, GOSSIP_EVENT_TOPOLOGY};
    const uint32_t others[] = {GOSSIP_EVENT_WARNING, GOSSIP_EVENT_LOG, GOSSIP_EVENT_INITIAL_DONE, GOSSIP_EVENT_CLOSED};
    uint32_t seen = 0, sum;
    size_t i;
#define ALL_OF(list, mask)                                            \
    sum = 0;                                                          \
    for (i = 0; i < sizeof list / sizeof *list; ++i) {                \
        CHECK(list[i] != 0 && (list[i] & (list[i] - 1)) == 0);        \
        CHECK_EQ(seen & list[i], 0);                                  \
        seen |= list[i];                                              \
        sum |= list[i];                                               \
    }                                                                 \
    CHECK_EQ(sum &(mask), sum)
    ALL_OF(entries, GOSSIP_EVENTS_ENTRIES);
    ALL_OF(members, GOSSIP_EVENTS_MEMBERS);
    ALL_OF(node, GOSSIP_EVENTS_NODE);
    ALL_OF(others, ~(uint32_t)0);
    CHECK_EQ(GOSSIP_EVENTS_ALL & (GOSSIP_EVENTS_ENTRIES | GOSSIP_EVENTS_MEMBERS | GOSSIP_EVENTS_NODE),
             GOSSIP_EVENTS_ENTRIES | GOSSIP_EVENTS_MEMBERS | GOSSIP_EVENTS_NODE);
    for (i = 0; i < sizeof others / sizeof *others; ++i) CHECK_EQ(GOSSIP_EVENTS_ALL & others[i], 0);
}

TEST(flags_of_one_call_are_distinct_bits) {
    CHECK_EQ(GOSSIP_GET_DEPARTED | GOSSIP_GET_PREFIX, 3);
    CHECK_EQ(GOSSIP_SUB_INITIAL | GOSSIP_SUB_NO_SELF | GOSSIP_SUB_PREFIX, 7);
    CHECK_EQ(GOSSIP_SETTING_LIVE | GOSSIP_SETTING_SECRET, 3);
    CHECK_EQ(GOSSIP_SET_IF_CHANGED, 1);
}

int main(void) {
    RUN(version_number_is_the_librarys_version);
    RUN(nul_is_no_length_that_could_be_meant);
    RUN(status_macros_and_the_librarys_table_name_each_other);
    RUN(node_states_and_member_statuses_are_distinct);
    RUN(kinds_of_event_are_one_bit_each_and_masks_are_their_sums);
    RUN(flags_of_one_call_are_distinct_bits);
    return check_end();
}
