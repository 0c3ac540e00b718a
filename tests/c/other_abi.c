/* A library of an ABI version that does not exist, for the loaders to refuse. */
#include <stdint.h>

uint32_t gossip_abi_version(void);
uint32_t gossip_abi_version(void) { return 4711; }
