/* The header needs no other before it, and may be included twice. Compiled as C11 and as C++17 without exceptions and RTTI,
 * with every warning an error, by run.sh. */
#include "cluster_gossip.h"
#include "cluster_gossip.h"

#include <stdio.h>

int main(void) {
    /* Types are what bindings declare: a status is 32 bits, an id travels as one uint64_t. */
    const int fits = sizeof(gossip_status) == 4 && sizeof(gossip_config) == 8 && sizeof(gossip_node) == 8 &&
                     sizeof(gossip_queue) == 8 && sizeof(gossip_sub) == 8;
    /* ...and the library that is linked is of this header. */
    const int same = gossip_abi_version() == GOSSIP_ABI_VERSION;
    printf("%s header_alone\n%d passed, %d failed, 0 skipped\n", fits && same ? "ok  " : "FAIL", fits && same, !(fits && same));
    return !(fits && same);
}
