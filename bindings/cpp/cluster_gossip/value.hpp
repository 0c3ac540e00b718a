// Cluster Gossip for C++17: values as the program's own types. Part of cluster_gossip.hpp, which is what programs include.
#ifndef CLUSTER_GOSSIP_VALUE_HPP
#define CLUSTER_GOSSIP_VALUE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "cluster_gossip/error.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

using bytes = std::vector<std::uint8_t>;

/// Bytes that belong to somebody else (C++17 has no std::span).
class bytes_view {
public:
    constexpr bytes_view() noexcept = default;
    bytes_view(const void *data, std::size_t size) noexcept : data_(static_cast<const std::uint8_t *>(data)), size_(size) {}
    bytes_view(const bytes &owned) noexcept : data_(owned.data()), size_(owned.size()) {}
    bytes_view(const std::vector<std::byte> &owned) noexcept : bytes_view(owned.data(), owned.size()) {}
    /// Explicit, because a string given as a value is a text.
    explicit bytes_view(std::string_view text) noexcept : bytes_view(text.data(), text.size()) {}

    const std::uint8_t *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const std::uint8_t *begin() const noexcept { return data_; }
    const std::uint8_t *end() const noexcept { return data_ + size_; }
    std::uint8_t operator[](std::size_t index) const noexcept { return data_[index]; }
    std::string_view chars() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }
    bytes copy() const { return bytes(begin(), end()); }

    friend bool operator==(bytes_view a, bytes_view b) noexcept { return a.chars() == b.chars(); }
    friend bool operator!=(bytes_view a, bytes_view b) noexcept { return !(a == b); }

private:
    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

/// A value with a type URL of the user's own, such as a protobuf message.
struct message {
    std::string type_url;
    bytes data;
    friend bool operator==(const message &a, const message &b) { return a.type_url == b.type_url && a.data == b.data; }
    friend bool operator!=(const message &a, const message &b) { return !(a == b); }
};

struct message_view {
    std::string_view type_url;
    bytes_view data;
    friend bool operator==(message_view a, message_view b) noexcept { return a.type_url == b.type_url && a.data == b.data; }
    friend bool operator!=(message_view a, message_view b) noexcept { return !(a == b); }
};

/// The value of an entry: nothing (deleted), bytes, text, bool, integer, double or message.
using value = std::variant<std::monostate, bytes, std::string, bool, std::int64_t, double, message>;
/// The same, borrowed: valid as long as what it was read from.
using value_view = std::variant<std::monostate, bytes_view, std::string_view, bool, std::int64_t, double, message_view>;

enum class value_kind : std::int32_t {
    none = GOSSIP_VALUE_NONE,
    bytes = GOSSIP_VALUE_BYTES,
    text = GOSSIP_VALUE_TEXT,
    boolean = GOSSIP_VALUE_BOOL,
    integer = GOSSIP_VALUE_INT,
    number = GOSSIP_VALUE_DOUBLE,
    message = GOSSIP_VALUE_MESSAGE,
};

namespace detail {

struct to_view {
    value_view operator()(std::monostate) const noexcept { return std::monostate{}; }
    value_view operator()(const bytes &v) const noexcept { return bytes_view(v); }
    value_view operator()(const std::string &v) const noexcept { return std::string_view(v); }
    value_view operator()(bool v) const noexcept { return value_view(std::in_place_type<bool>, v); }
    value_view operator()(std::int64_t v) const noexcept { return value_view(std::in_place_type<std::int64_t>, v); }
    value_view operator()(double v) const noexcept { return value_view(std::in_place_type<double>, v); }
    value_view operator()(const message &v) const noexcept { return message_view{v.type_url, bytes_view(v.data)}; }
};

struct to_owned {
    value operator()(std::monostate) const { return std::monostate{}; }
    value operator()(bytes_view v) const { return v.copy(); }
    value operator()(std::string_view v) const { return std::string(v); }
    value operator()(bool v) const { return value(std::in_place_type<bool>, v); }
    value operator()(std::int64_t v) const { return value(std::in_place_type<std::int64_t>, v); }
    value operator()(double v) const { return value(std::in_place_type<double>, v); }
    value operator()(message_view v) const { return message{std::string(v.type_url), v.data.copy()}; }
};

/// Chooses by the C++ type alone: std::variant's own conversion turned a string literal into true before C++20.
template <class V>
value_view view_of(const V &v) {
    if constexpr (std::is_same_v<V, value_view>) {
        return v;
    } else if constexpr (std::is_same_v<V, value>) {
        return std::visit(to_view{}, v);
    } else if constexpr (std::is_same_v<V, bool>) {
        return to_view{}(v);
    } else if constexpr (std::is_integral_v<V>) {
        static_assert(sizeof(V) < sizeof(std::int64_t) || std::is_signed_v<V>,
                      "an unsigned 64-bit number may not fit: cast it to std::int64_t");
        return to_view{}(static_cast<std::int64_t>(v));
    } else if constexpr (std::is_floating_point_v<V>) {
        return to_view{}(static_cast<double>(v));
    } else if constexpr (std::is_convertible_v<const V &, std::string_view>) {
        return std::string_view(v);
    } else if constexpr (std::is_same_v<V, message>) {
        return to_view{}(v);
    } else if constexpr (std::is_same_v<V, message_view>) {
        return v;
    } else {
        static_assert(std::is_convertible_v<const V &, bytes_view>,
                      "a value is bytes, text, bool, an integer, a floating-point number or a message");
        return bytes_view(v);
    }
}

}  // namespace detail

/// A copy that outlives what the view was read from.
inline value copy(const value_view &view) { return std::visit(detail::to_owned{}, view); }

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
