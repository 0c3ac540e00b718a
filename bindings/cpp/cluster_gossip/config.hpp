// Cluster Gossip for C++17: settings for a node. Part of cluster_gossip.hpp, which is what
// programs include.
#ifndef CLUSTER_GOSSIP_CONFIG_HPP
#define CLUSTER_GOSSIP_CONFIG_HPP

#include "cluster_gossip/handle.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

/// Settings by name and value, checked one by one as they are set, and against each other when a node is opened.
class config {
public:
    static result<config> try_create() {
        if (auto r = detail::ready(); !r) return r.error();
        gossip_config raw{0};
        if (const auto status = gossip_config_new(&raw)) return error(status);
        return config(raw);
    }
    config(config &&) noexcept = default;
    config &operator=(config &&other) noexcept {
        config(std::move(other)).id_.swap(id_);
        return *this;
    }
    ~config() { gossip_config_free(id_.get()); }

    result<void> try_set(std::string_view name, std::string_view value) {
        const auto n = detail::without_nul(name, "the setting's name");
        if (!n) return n.error();
        const auto v = detail::without_nul(value, "the setting's value");
        if (!v) return v.error();
        char message[GOSSIP_ERRBUF];
        return detail::outcome(gossip_config_set(id_.get(), n->c_str(), v->c_str(), message, sizeof message), message);
    }
    result<std::string> try_get(std::string_view name) const {
        const auto n = detail::without_nul(name, "the setting's name");
        if (!n) return n.error();
        gossip_bytes *out = nullptr;
        if (const auto status = gossip_config_get(id_.get(), n->c_str(), &out)) return error(status);
        return detail::take_text(out);
    }

#if CLUSTER_GOSSIP_EXCEPTIONS
    static config create() { return try_create().value(); }
    void set(std::string_view name, std::string_view value) { try_set(name, value).value(); }
    std::string get(std::string_view name) const { return try_get(name).value(); }
#endif

    gossip_config raw() const noexcept { return id_.get(); }

private:
    explicit config(gossip_config raw) noexcept : id_(raw) {}
    detail::id<gossip_config> id_;
};

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
