/* A host that has only dlopen and dlsym: nothing of the library is linked. The file is given as the first argument. */
#include <cluster_gossip/dl.h>

static cluster_gossip_dl gossip;

/* What check.h and these tests call goes through the table, under the same names. */
#define gossip_abi_version gossip.gossip_abi_version
#define gossip_status_name gossip.gossip_status_name
#define gossip_open_text gossip.gossip_open_text
#define gossip_close gossip.gossip_close
#define gossip_self gossip.gossip_self
#define gossip_members_at gossip.gossip_members_at
#define gossip_members_free gossip.gossip_members_free
#define gossip_member_address gossip.gossip_member_address
#define gossip_set_text gossip.gossip_set_text
#define gossip_get gossip.gossip_get
#define gossip_entries_len gossip.gossip_entries_len
#define gossip_entries_at gossip.gossip_entries_at
#define gossip_entries_free gossip.gossip_entries_free
#define gossip_entry_text gossip.gossip_entry_text

#include "check.h"

static const char *library;
static char message[CLUSTER_GOSSIP_DL_MESSAGE];

TEST(a_wrong_path_is_an_error_in_words) {
    CHECK(cluster_gossip_dl_open(&gossip, "/nonexistent/libcluster_gossip.so.1", message, sizeof message) != 0);
    CHECK(strstr(message, "/nonexistent/libcluster_gossip.so.1") != NULL);
    CHECK(gossip.handle == NULL && gossip.gossip_version == NULL);
    CHECK(cluster_gossip_dl_open(&gossip, "/nonexistent/x.so", NULL, 0) != 0);
}

TEST(another_library_is_refused) {
    CHECK(cluster_gossip_dl_open(&gossip, "libc.so.6", message, sizeof message) != 0);
    CHECK(strstr(message, "not the Cluster Gossip library") != NULL);
}

TEST(another_abi_version_is_refused_with_both_numbers) {
    /* Made by run.sh from tests/c/other_abi.c. */
    const char *other = getenv("CLUSTER_GOSSIP_TEST_OTHER_ABI");
    CHECK(other != NULL);
    CHECK(cluster_gossip_dl_open(&gossip, other, message, sizeof message) != 0);
    CHECK(strstr(message, "ABI version 4711") != NULL && strstr(message, "compiled for 1") != NULL);
}

TEST(the_path_goes_before_the_environment_and_that_before_the_soname) {
    setenv(CLUSTER_GOSSIP_DL_VARIABLE, "/nonexistent/from-environment.so", 1);
    CHECK_EQ(cluster_gossip_dl_open(&gossip, library, message, sizeof message), 0);
    cluster_gossip_dl_close(&gossip);
    CHECK(cluster_gossip_dl_open(&gossip, NULL, message, sizeof message) != 0);
    CHECK(strstr(message, "/nonexistent/from-environment.so") != NULL);
    setenv(CLUSTER_GOSSIP_DL_VARIABLE, library, 1);
    CHECK_EQ(cluster_gossip_dl_open(&gossip, NULL, message, sizeof message), 0);
    cluster_gossip_dl_close(&gossip);
    /* run.sh sets LD_LIBRARY_PATH to a folder with libcluster_gossip.so.1. An empty variable is none. */
    setenv(CLUSTER_GOSSIP_DL_VARIABLE, "", 1);
    CHECK_EQ(cluster_gossip_dl_open(&gossip, NULL, message, sizeof message), 0);
    cluster_gossip_dl_close(&gossip);
    unsetenv(CLUSTER_GOSSIP_DL_VARIABLE);
    CHECK_EQ(cluster_gossip_dl_open(&gossip, NULL, message, sizeof message), 0);
    cluster_gossip_dl_close(&gossip);
    CHECK(gossip.handle == NULL);
}

TEST(a_loaded_library_works_and_may_be_closed_and_loaded_again) {
    gossip_node node, kept;
    int round;
    CHECK_EQ(cluster_gossip_dl_open(&gossip, library, message, sizeof message), 0);
    kept = open_node("dlopen", "kept", NULL);
    CHECK_STILL();
    CHECK_OK(set_text(kept, "k", "survives"));
    cluster_gossip_dl_close(&gossip);
    for (round = 0; round < 5; ++round) {
        CHECK_EQ(cluster_gossip_dl_open(&gossip, library, message, sizeof message), 0);
        CHECK_EQ(gossip_abi_version(), GOSSIP_ABI_VERSION);
        node = open_node("dlopen", "node", NULL);
        CHECK_STILL();
        CHECK_OK(set_text(node, "k", "loaded"));
        CHECK(reads_text(node, "node", "k", "loaded"));
        /* The code stays, its threads go on: the node left open is still there. */
        CHECK(reads_text(kept, "kept", "k", "survives"));
        CHECK_OK(gossip_close(node));
        cluster_gossip_dl_close(&gossip);
    }
    CHECK_EQ(cluster_gossip_dl_open(&gossip, library, message, sizeof message), 0);
    CHECK_OK(gossip_close(kept));
    cluster_gossip_dl_close(&gossip);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s LIBRARY\n", argv[0]);
        return 2;
    }
    library = argv[1];
    RUN(a_wrong_path_is_an_error_in_words);
    RUN(another_library_is_refused);
    RUN(another_abi_version_is_refused_with_both_numbers);
    RUN(the_path_goes_before_the_environment_and_that_before_the_soname);
    RUN(a_loaded_library_works_and_may_be_closed_and_loaded_again);
    return check_end();
}
