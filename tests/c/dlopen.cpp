// The C++ classes over a library that is loaded at run time: nothing of it is linked. The file is given as the first argument.
#define CLUSTER_GOSSIP_DLOPEN
#include "cluster_gossip.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace cg = cluster_gossip;
using namespace std::string_view_literals;

namespace {

int passed = 0, failed = 0;

bool check(const char *name, bool holds) {
    std::printf("%s %s\n", holds ? "ok  " : "FAIL", name);
    ++(holds ? passed : failed);
    return holds;
}

template <class C>
bool until(C &&condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

// The C functions from their table, loaded, given back and loaded again.
bool table_loads_again(const char *library) {
    cluster_gossip_dl table;
    char message[CLUSTER_GOSSIP_DL_MESSAGE];
    for (int round = 0; round < 3; ++round) {
        if (cluster_gossip_dl_open(&table, library, message, sizeof message) != 0) return false;
        gossip_node node{0};
        if (table.gossip_open_text("cluster=dl\nbind=127.0.0.1:0", &node, nullptr, 0) != GOSSIP_OK) return false;
        if (table.gossip_close(node) != GOSSIP_OK) return false;
        cluster_gossip_dl_close(&table);
        if (table.handle != nullptr || table.gossip_close != nullptr) return false;
    }
    return true;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s LIBRARY\n", argv[0]);
        return 2;
    }
    const char *other = std::getenv("CLUSTER_GOSSIP_TEST_OTHER_ABI");
    setenv("CLUSTER_GOSSIP_LIBRARY", "/nonexistent/libcluster_gossip.so.1", 1);
    const auto none = cg::node::try_open({{"cluster", "dl"}});
    check("without a library the first object says why",
          !none && none.status() == GOSSIP_ERR_NOT_SUPPORTED &&
              none.error().message().find("/nonexistent/libcluster_gossip.so.1") != std::string_view::npos);
    check("another ABI version is refused with both numbers",
          other != nullptr && cg::load(other).find("ABI version 4711") != std::string::npos &&
              cg::load(other).find("compiled for 1") != std::string::npos);
    check("a path loads", cg::load(argv[1]).empty() && cg::load().empty());
    check("the library is of this header", cg::abi_version() == GOSSIP_ABI_VERSION && !cg::version().empty());
    {
        std::atomic<std::int64_t> last{0};
        auto node = cg::node::try_open({{"cluster", "dl"}, {"bind", "127.0.0.1:0"}, {"id", "dl"}});
        if (check("a node opens", node.ok())) {
            auto sub = node->try_subscribe(cg::filter(cg::event_kind::entries).key("k"), [&](const cg::event &event) noexcept {
                if (auto entry = event.entry()) last = entry->integer().value_or(-1);
            });
            check("a callback is subscribed", sub.ok());
            check("set", node->try_set("k", 42).ok());
            check("the callback sees it", until([&] { return last == 42; }));
            const auto own = node->try_get_own("k");
            check("get", own && *own && (*own)->integer() == 42 && (*own)->member() == "dl"sv);
            check("an error has its name", node->try_set("cluster:x", 1).error().name() == "GOSSIP_ERR_RESERVED_KEY"sv);
            check("close", node->try_close().ok());
        }
    }
    check("the table loads, closes and loads again", table_loads_again(argv[1]));
    std::printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
