// Cluster Gossip for C++17: entries, members and events as they are read. Part of cluster_gossip.hpp, which is what
// programs include.
//
// A list (entries, members, events) owns what was read and needs no node any more. What comes out of it (entry, member,
// event, and every std::string_view of theirs) is a view that is valid as long as the list. One list may be read by many
// threads at once.
#ifndef CLUSTER_GOSSIP_LISTS_HPP
#define CLUSTER_GOSSIP_LISTS_HPP

#include <chrono>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster_gossip/value.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

enum class member_status : std::int32_t {
    alive = GOSSIP_MEMBER_ALIVE,
    suspect = GOSSIP_MEMBER_SUSPECT,
    dead = GOSSIP_MEMBER_DEAD,
    leaving = GOSSIP_MEMBER_LEAVING,
    left = GOSSIP_MEMBER_LEFT,
    banned = GOSSIP_MEMBER_BANNED,
};

enum class node_state : std::int32_t {
    starting = GOSSIP_STATE_STARTING,
    joined = GOSSIP_STATE_JOINED,
    alone = GOSSIP_STATE_ALONE,
    leaving = GOSSIP_STATE_LEAVING,
    left = GOSSIP_STATE_LEFT,
    banned = GOSSIP_STATE_BANNED,
    failed = GOSSIP_STATE_FAILED,
};

/// Kinds of event, one bit each; a filter takes any of them joined by |.
enum class event_kind : std::uint32_t {
    entry_changed = GOSSIP_EVENT_ENTRY_CHANGED,
    entry_deleted = GOSSIP_EVENT_ENTRY_DELETED,
    entry_refused = GOSSIP_EVENT_ENTRY_REFUSED,
    member_joined = GOSSIP_EVENT_MEMBER_JOINED,
    member_suspected = GOSSIP_EVENT_MEMBER_SUSPECTED,
    member_alive = GOSSIP_EVENT_MEMBER_ALIVE,
    member_dead = GOSSIP_EVENT_MEMBER_DEAD,
    member_left = GOSSIP_EVENT_MEMBER_LEFT,
    member_restarted = GOSSIP_EVENT_MEMBER_RESTARTED,
    member_updated = GOSSIP_EVENT_MEMBER_UPDATED,
    member_banned = GOSSIP_EVENT_MEMBER_BANNED,
    member_unbanned = GOSSIP_EVENT_MEMBER_UNBANNED,
    member_removed = GOSSIP_EVENT_MEMBER_REMOVED,
    node_state = GOSSIP_EVENT_NODE_STATE,
    synced = GOSSIP_EVENT_SYNCED,
    consensus = GOSSIP_EVENT_CONSENSUS,
    topology = GOSSIP_EVENT_TOPOLOGY,
    warning = GOSSIP_EVENT_WARNING,
    log = GOSSIP_EVENT_LOG,
    initial_done = GOSSIP_EVENT_INITIAL_DONE,
    closed = GOSSIP_EVENT_CLOSED,
    entries = GOSSIP_EVENTS_ENTRIES,
    members = GOSSIP_EVENTS_MEMBERS,
    node = GOSSIP_EVENTS_NODE,
    all = GOSSIP_EVENTS_ALL,
};

constexpr event_kind operator|(event_kind a, event_kind b) noexcept {
    return static_cast<event_kind>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
/// True where kind is among those of the mask.
constexpr bool contains(event_kind mask, event_kind kind) noexcept {
    return (static_cast<std::uint32_t>(mask) & static_cast<std::uint32_t>(kind)) != 0;
}

namespace detail {

template <class Raw>
std::string_view text(const char *(*read)(const Raw *, std::size_t *), const Raw *raw) noexcept {
    std::size_t length = 0;
    const char *data = read(raw, &length);
    return data == nullptr ? std::string_view() : std::string_view(data, length);
}

}  // namespace detail

/// A view of one member's value under one key.
class entry {
public:
    explicit entry(const gossip_entry *raw) noexcept : raw_(raw) {}

    std::string_view member() const noexcept { return detail::text(gossip_entry_member, raw_); }
    std::string_view key() const noexcept { return detail::text(gossip_entry_key, raw_); }
    std::string_view type_url() const noexcept { return detail::text(gossip_entry_type_url, raw_); }
    /// The value as it crossed the network, whatever its kind.
    bytes_view data() const noexcept {
        std::size_t length = 0;
        const auto *bytes = gossip_entry_value(raw_, &length);
        return {bytes, length};
    }
    value_kind kind() const noexcept { return static_cast<value_kind>(gossip_entry_value_kind(raw_)); }

    /// Empty where the value is of another kind.
    std::optional<std::string_view> text() const noexcept {
        std::size_t length = 0;
        const char *data = gossip_entry_text(raw_, &length);
        if (data == nullptr) return std::nullopt;
        return std::string_view(data, length);
    }
    std::optional<bool> boolean() const noexcept {
        std::int32_t out = 0;
        if (gossip_entry_bool(raw_, &out) != GOSSIP_OK) return std::nullopt;
        return out != 0;
    }
    std::optional<std::int64_t> integer() const noexcept {
        std::int64_t out = 0;
        if (gossip_entry_int(raw_, &out) != GOSSIP_OK) return std::nullopt;
        return out;
    }
    std::optional<double> number() const noexcept {
        double out = 0;
        if (gossip_entry_double(raw_, &out) != GOSSIP_OK) return std::nullopt;
        return out;
    }
    /// The value as the type it was set as.
    value_view value() const noexcept {
        using namespace std;
        switch (kind()) {
            case value_kind::none: return monostate{};
            case value_kind::bytes: return data();
            case value_kind::text: return text().value_or(string_view());
            case value_kind::boolean: return value_view(in_place_type<bool>, boolean().value_or(false));
            case value_kind::integer: return value_view(in_place_type<int64_t>, integer().value_or(0));
            case value_kind::number: return value_view(in_place_type<double>, number().value_or(0.0));
            case value_kind::message: break;
        }
        return message_view{type_url(), data()};
    }

    /// Counts the owner's sets and deletes, from 1 in each life of the owner.
    std::uint64_t sequence_number() const noexcept { return gossip_entry_seq(raw_); }
    std::uint64_t generation() const noexcept { return gossip_entry_generation(raw_); }
    /// Since this node received (or set) it, at the time of reading.
    std::chrono::milliseconds age() const noexcept { return std::chrono::milliseconds(gossip_entry_age_ms(raw_)); }
    member_status status() const noexcept { return static_cast<member_status>(gossip_entry_member_status(raw_)); }

    const gossip_entry *raw() const noexcept { return raw_; }

private:
    const gossip_entry *raw_;
};

/// A view of one member of the cluster.
class member {
public:
    explicit member(const gossip_member *raw) noexcept : raw_(raw) {}

    std::string_view id() const noexcept { return detail::text(gossip_member_id, raw_); }
    std::uint64_t generation() const noexcept { return gossip_member_generation(raw_); }
    /// "10.0.0.7:4711", "[::1]:4711".
    std::string_view address() const noexcept { return detail::text(gossip_member_address, raw_); }
    member_status status() const noexcept { return static_cast<member_status>(gossip_member_status(raw_)); }
    bool is_self() const noexcept { return gossip_member_is_self(raw_) != 0; }
    /// How long it has had this status, at the time of reading.
    std::chrono::milliseconds status_age() const noexcept {
        return std::chrono::milliseconds(gossip_member_status_age_ms(raw_));
    }
    /// Empty where it was not measured yet.
    std::optional<std::chrono::microseconds> round_trip() const noexcept {
        const auto us = gossip_member_rtt_us(raw_);
        if (us < 0) return std::nullopt;
        return std::chrono::microseconds(us);
    }
    std::vector<std::pair<std::string_view, std::string_view>> tags() const {
        std::vector<std::pair<std::string_view, std::string_view>> all;
        for (std::size_t i = 0; i < gossip_member_tag_count(raw_); ++i) all.emplace_back(tag_name(i), tag_value(i));
        return all;
    }
    /// Empty where the member has no such tag.
    std::optional<std::string_view> tag(std::string_view name) const noexcept {
        for (std::size_t i = 0; i < gossip_member_tag_count(raw_); ++i)
            if (tag_name(i) == name) return tag_value(i);
        return std::nullopt;
    }

    const gossip_member *raw() const noexcept { return raw_; }

private:
    std::string_view tag_name(std::size_t index) const noexcept {
        std::size_t length = 0;
        const char *data = gossip_member_tag_name(raw_, index, &length);
        return data == nullptr ? std::string_view() : std::string_view(data, length);
    }
    std::string_view tag_value(std::size_t index) const noexcept {
        std::size_t length = 0;
        const char *data = gossip_member_tag_value(raw_, index, &length);
        return data == nullptr ? std::string_view() : std::string_view(data, length);
    }

    const gossip_member *raw_;
};

/// A view of one change; in a callback it is valid until the callback returns.
class event {
public:
    explicit event(const gossip_event *raw) noexcept : raw_(raw) {}

    event_kind kind() const noexcept { return static_cast<event_kind>(gossip_event_kind(raw_)); }
    /// The tag that the subscription was given.
    std::uint64_t tag() const noexcept { return gossip_event_tag(raw_); }
    /// As node::id_number(), subscription::id_number().
    std::uint64_t node_number() const noexcept { return gossip_event_node(raw_); }
    std::uint64_t subscription_number() const noexcept { return gossip_event_sub(raw_); }
    /// How many changes it stands for, itself included.
    std::uint64_t conflated() const noexcept { return gossip_event_conflated(raw_); }
    /// event_kind::node_state: a node_state; warning: a status; log: GOSSIP_LOG_*; topology: how many members.
    std::int32_t code() const noexcept { return gossip_event_code(raw_); }
    /// node_state, warning, log, entry_refused: the words; topology: 16 hex digits, the same at all that see the same members.
    std::string_view text() const noexcept { return detail::text(gossip_event_text, raw_); }
    /// event_kind::log: the part of the library that speaks.
    std::string_view target() const noexcept { return detail::text(gossip_event_target, raw_); }
    /// Empty where the kind has none.
    std::optional<cluster_gossip::entry> entry() const noexcept {
        const auto *raw = gossip_event_entry(raw_);
        if (raw == nullptr) return std::nullopt;
        return cluster_gossip::entry(raw);
    }
    std::optional<cluster_gossip::member> member() const noexcept {
        const auto *raw = gossip_event_member(raw_);
        if (raw == nullptr) return std::nullopt;
        return cluster_gossip::member(raw);
    }

    const gossip_event *raw() const noexcept { return raw_; }

private:
    const gossip_event *raw_;
};

namespace detail {

struct entries_of_c {
    using list = gossip_entries;
    using view = entry;
    static std::size_t len(const list *l) noexcept { return gossip_entries_len(l); }
    static view at(const list *l, std::size_t i) noexcept { return view(gossip_entries_at(l, i)); }
    static const std::uint8_t *packed(const list *l, std::size_t *n) noexcept { return gossip_entries_packed(l, n); }
    void operator()(list *l) const noexcept { gossip_entries_free(l); }
};

struct members_of_c {
    using list = gossip_members;
    using view = member;
    static std::size_t len(const list *l) noexcept { return gossip_members_len(l); }
    static view at(const list *l, std::size_t i) noexcept { return view(gossip_members_at(l, i)); }
    static const std::uint8_t *packed(const list *l, std::size_t *n) noexcept { return gossip_members_packed(l, n); }
    void operator()(list *l) const noexcept { gossip_members_free(l); }
};

struct events_of_c {
    using list = gossip_events;
    using view = event;
    static std::size_t len(const list *l) noexcept { return gossip_events_len(l); }
    static view at(const list *l, std::size_t i) noexcept { return view(gossip_events_at(l, i)); }
    static const std::uint8_t *packed(const list *l, std::size_t *n) noexcept { return gossip_events_packed(l, n); }
    void operator()(list *l) const noexcept { gossip_events_free(l); }
};

/// An owned list of the C interface. C is one of the three above, and frees it too.
template <class C>
class list {
public:
    using value_type = typename C::view;

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = typename C::view;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = value_type;

        iterator(const typename C::list *raw, std::size_t index) noexcept : raw_(raw), index_(index) {}
        value_type operator*() const noexcept { return C::at(raw_, index_); }
        iterator &operator++() noexcept {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept {
            auto before = *this;
            ++index_;
            return before;
        }
        bool operator==(const iterator &other) const noexcept { return index_ == other.index_; }
        bool operator!=(const iterator &other) const noexcept { return index_ != other.index_; }

    private:
        const typename C::list *raw_;
        std::size_t index_;
    };

    /// An empty list.
    list() noexcept = default;
    /// Takes the ownership.
    explicit list(typename C::list *raw) noexcept : raw_(raw) {}

    std::size_t size() const noexcept { return raw_ ? C::len(raw_.get()) : 0; }
    bool empty() const noexcept { return size() == 0; }
    iterator begin() const noexcept { return {raw_.get(), 0}; }
    iterator end() const noexcept { return {raw_.get(), size()}; }
    /// Only with index < size().
    value_type operator[](std::size_t index) const noexcept { return C::at(raw_.get(), index); }
    /// The whole list as the bytes of docs/events.md; valid as long as the list.
    bytes_view packed() const noexcept {
        if (!raw_) return {};
        std::size_t length = 0;
        const auto *data = C::packed(raw_.get(), &length);
        return {data, length};
    }
    const typename C::list *raw() const noexcept { return raw_.get(); }

private:
    std::unique_ptr<typename C::list, C> raw_;
};

}  // namespace detail

using entries = detail::list<detail::entries_of_c>;
using members = detail::list<detail::members_of_c>;
using events = detail::list<detail::events_of_c>;

/// One entry together with the list it lives in, or none: `if (auto e = node.get_own("key")) use(e->text());`
class maybe_entry {
public:
    explicit maybe_entry(entries found) noexcept : list_(std::move(found)), first_(list_.empty() ? nullptr : list_[0].raw()) {}

    bool has_value() const noexcept { return first_.raw() != nullptr; }
    explicit operator bool() const noexcept { return has_value(); }
    /// Only when has_value(); valid as long as this object.
    const entry &operator*() const noexcept { return first_; }
    const entry *operator->() const noexcept { return &first_; }

private:
    entries list_;
    entry first_;
};

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
