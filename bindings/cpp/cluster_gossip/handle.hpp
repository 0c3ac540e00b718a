// Cluster Gossip for C++17: what the classes with an id of the C interface share. Part of cluster_gossip.hpp, which is what
// programs include.
#ifndef CLUSTER_GOSSIP_HANDLE_HPP
#define CLUSTER_GOSSIP_HANDLE_HPP

#include "cluster_gossip/error.hpp"
#include "cluster_gossip/lists.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

using milliseconds = std::chrono::milliseconds;

/// As a timeout: until it happens, or the node is closed.
inline constexpr milliseconds forever{-1};

namespace detail {

/// A count of milliseconds for the C interface; what is too long for it is for ever, as is everything negative.
inline std::int32_t timeout(milliseconds wanted) noexcept {
    return wanted.count() < 0 || wanted.count() > INT32_MAX ? -1 : static_cast<std::int32_t>(wanted.count());
}

/// A pointer for the C interface, where NULL would mean "any": also an empty view has a place.
inline const char *data(std::string_view text) noexcept { return text.data() == nullptr ? "" : text.data(); }

/// Takes the bytes' ownership and gives their text.
inline std::string take_text(gossip_bytes *raw) {
    const std::unique_ptr<gossip_bytes, void (*)(gossip_bytes *)> bytes(raw, [](gossip_bytes *it) { gossip_bytes_free(it); });
    std::size_t length = 0;
    const auto *data = gossip_bytes_data(raw, &length);
    return std::string(reinterpret_cast<const char *>(data), length);
}

/// An id of the C interface, 0 after a move.
template <class Raw>
class id {
public:
    explicit id(Raw raw) noexcept : raw_(raw) {}
    id(id &&other) noexcept : raw_(std::exchange(other.raw_, Raw{0})) {}
    Raw get() const noexcept { return raw_; }
    void swap(id &other) noexcept { std::swap(raw_, other.raw_); }

private:
    Raw raw_;
};

}  // namespace detail

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
