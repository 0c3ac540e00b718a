// Cluster Gossip for C++17: join a cluster, publish small pieces of state, read everybody's, be told of changes.
//
// Two forms of every call that can fail: `x.f(...)` throws cluster_gossip::error, `x.try_f(...)` answers a result<T> that
// holds the value or the error. Compiled with -fno-exceptions only the try_ forms are there (RTTI is never needed). A
// try_ form lets nothing out but std::bad_alloc from the standard library's own allocations.
// Running out of time is no error: such calls answer false, or an empty list.
//
// Handing in: keys are any 1 to 255 bytes of UTF-8; nothing handed in is kept after return. Handing out: see lists.hpp.
// Threads: every method of node, queue, subscription and config may be called by many threads at once, also in callbacks,
// as long as nobody destroys, moves or assigns that C++ object meanwhile. After close every method answers
// GOSSIP_ERR_CLOSED; on a moved-from object GOSSIP_ERR_INVALID_HANDLE; in the child of a fork GOSSIP_ERR_FORKED.
#ifndef CLUSTER_GOSSIP_HPP
#define CLUSTER_GOSSIP_HPP

#include "cluster_gossip/node.hpp"

#endif
