// Cluster Gossip for C++17 without linking the library: define CLUSTER_GOSSIP_DLOPEN before including cluster_gossip.hpp.
//
// The C functions' names are function pointers here, in a namespace that cluster_gossip.hpp looks into before the global
// one, so that the same classes work on a library found at run time.
#ifndef CLUSTER_GOSSIP_DLOPEN_HPP
#define CLUSTER_GOSSIP_DLOPEN_HPP

#include <mutex>
#include <string>

#include "cluster_gossip/dl.h"

namespace cluster_gossip {
namespace loaded_functions {
#define CLUSTER_GOSSIP_POINTER(name) inline decltype(&::name) name = nullptr;
CLUSTER_GOSSIP_FUNCTIONS(CLUSTER_GOSSIP_POINTER)
#undef CLUSTER_GOSSIP_POINTER
}  // namespace loaded_functions

using namespace loaded_functions;

namespace loading {

inline std::mutex lock;
inline bool done = false;

inline bool load_once(const char *path, std::string &problem) {
    const std::lock_guard<std::mutex> guard(lock);
    if (done) return true;
    cluster_gossip_dl table;
    char message[CLUSTER_GOSSIP_DL_MESSAGE];
    if (cluster_gossip_dl_open(&table, path, message, sizeof message) != 0) {
        problem = message;
        return false;
    }
#define CLUSTER_GOSSIP_POINTER(name) loaded_functions::name = table.name;
    CLUSTER_GOSSIP_FUNCTIONS(CLUSTER_GOSSIP_POINTER)
#undef CLUSTER_GOSSIP_POINTER
    done = true;
    return true;
}

}  // namespace loading

/// Loads the library: path if given, else the environment's CLUSTER_GOSSIP_LIBRARY, else the system's
/// libcluster_gossip.so.1. The first success counts and stays for the life of the process; without a call of this the
/// first object made loads by the same order. An empty answer is success, else it says what is wrong.
inline std::string load(const char *path = nullptr) {
    std::string problem;
    loading::load_once(path, problem);
    return problem;
}

}  // namespace cluster_gossip

#endif
