// Cluster Gossip for C++17: what tells of changes: filter, queue, subscription. Part of cluster_gossip.hpp, which is what
// programs include.
#ifndef CLUSTER_GOSSIP_SUBSCRIPTION_HPP
#define CLUSTER_GOSSIP_SUBSCRIPTION_HPP

#include <exception>

#include "cluster_gossip/handle.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

/// What a subscription is told of: `filter(event_kind::entries).key("price:", filter::prefix).initial()`.
/// The texts are borrowed until the subscription is made.
class filter {
public:
    enum match { exact, prefix };

    explicit filter(event_kind what = event_kind::all) noexcept : what_(what) {}

    /// Only of this member, instead of all.
    filter &member(std::string_view id) noexcept { return member_ = id, *this; }
    /// Only this key, or keys that begin so, instead of all of the hosts' own. Keys beginning "cluster:" are the library's, and are
    /// told only so.
    filter &key(std::string_view key, match how = exact) noexcept {
        key_ = key;
        return flag(GOSSIP_SUB_PREFIX, how == prefix);
    }
    /// What exists comes first, then event_kind::initial_done; no gap and no duplicate between that and later changes.
    filter &initial(bool wanted = true) noexcept { return flag(GOSSIP_SUB_INITIAL, wanted); }
    /// Nothing about the node's own entries and membership.
    filter &no_self(bool wanted = true) noexcept { return flag(GOSSIP_SUB_NO_SELF, wanted); }

private:
    friend class node;
    filter &flag(std::uint32_t bit, bool wanted) noexcept {
        flags_ = wanted ? flags_ | bit : flags_ & ~bit;
        return *this;
    }

    event_kind what_;
    std::optional<std::string_view> member_;
    std::optional<std::string_view> key_;
    std::uint32_t flags_ = 0;
};

namespace detail {

/// What a native callback needs; made by subscribe, destroyed by the library after the last call.
template <class F, class H>
struct callback {
    F function;
    H on_error;

    static void call(void *user, const gossip_event *raw) noexcept {
        auto *self = static_cast<callback *>(user);
#if CLUSTER_GOSSIP_EXCEPTIONS
        // The library is written in Rust, through which no C++ exception can pass.
        try {
            self->function(event(raw));
        } catch (...) {
            try {
                self->on_error(std::current_exception());
            } catch (...) {
                // An error handler that fails itself has nobody left to tell.
            }
        }
#else
        self->function(event(raw));
#endif
    }
    static void drop(void *user) noexcept { delete static_cast<callback *>(user); }
};

/// Stands where a callback promises not to throw.
struct no_error_handler {
#if CLUSTER_GOSSIP_EXCEPTIONS
    void operator()(const std::exception_ptr &) const noexcept {}
#endif
};

}  // namespace detail

/// A sink for events that the program takes when it likes; may serve subscriptions of many nodes. It holds at most one
/// mark per (member, key) and per member, so nothing is lost and nobody waits for a slow reader.
class queue {
public:
    /// lines: how many warnings and log lines are kept for each subscription; 0: 1024.
    static result<queue> try_create(std::size_t lines = 0) {
        if (auto r = detail::ready(); !r) return r.error();
        gossip_queue raw{0};
        if (const auto status = gossip_queue_new(lines, &raw)) return error(status);
        return queue(raw);
    }
    queue(queue &&) noexcept = default;
    queue &operator=(queue &&other) noexcept {
        queue(std::move(other)).id_.swap(id_);
        return *this;
    }
    /// Ends its subscriptions; a take in progress answers GOSSIP_ERR_CLOSED.
    ~queue() { gossip_queue_free(id_.get()); }

    /// Up to max events, the oldest first. Waits for the first one as long as timeout says: empty when the time is up or
    /// wake() was called. One thread at a time (GOSSIP_ERR_BUSY).
    result<events> try_take(std::size_t max, milliseconds timeout) {
        gossip_events *out = nullptr;
        const auto status = gossip_queue_take(id_.get(), max, detail::timeout(timeout), &out);
        if (status == GOSSIP_ERR_TIMEOUT || status == GOSSIP_ERR_INTERRUPTED) return events();
        if (status != GOSSIP_OK) return error(status);
        return events(out);
    }
    /// Ends the take that waits now, or else the next one.
    result<void> try_wake() { return detail::outcome(gossip_queue_wake(id_.get())); }
    /// For poll() and its like: readable while there are events. It is never to be read or closed.
    result<int> try_fd() const {
        std::int32_t out = -1;
        if (const auto status = gossip_queue_fd(id_.get(), &out)) return error(status);
        return static_cast<int>(out);
    }

#if CLUSTER_GOSSIP_EXCEPTIONS
    static queue create(std::size_t lines = 0) { return try_create(lines).value(); }
    events take(std::size_t max, milliseconds timeout) { return try_take(max, timeout).value(); }
    void wake() { try_wake().value(); }
    int fd() const { return try_fd().value(); }
#endif

    gossip_queue raw() const noexcept { return id_.get(); }

private:
    explicit queue(gossip_queue raw) noexcept : id_(raw) {}
    detail::id<gossip_queue> id_;
};

/// Goes on as long as this object, or until the node or the queue ends.
class subscription {
public:
    subscription(subscription &&) noexcept = default;
    subscription &operator=(subscription &&other) noexcept {
        subscription(std::move(other)).id_.swap(id_);
        return *this;
    }
    /// Afterwards no callback runs and none will. Waits for a callback that runs now, so hold no lock that it wants;
    /// destroyed inside a callback it does not wait, and the callback's function is destroyed when that returns.
    ~subscription() {
        if (gossip_unsubscribe(id_.get()) == GOSSIP_ERR_WOULD_DEADLOCK) gossip_unsubscribe_nowait(id_.get());
    }

    /// As the destructor, but inside a callback it answers GOSSIP_ERR_WOULD_DEADLOCK.
    result<void> try_unsubscribe() { return detail::outcome(gossip_unsubscribe(id_.get())); }
    /// Does not wait; works everywhere. The function is destroyed after its last call.
    result<void> try_unsubscribe_nowait() { return detail::outcome(gossip_unsubscribe_nowait(id_.get())); }
    /// Lets it go on until the node or the queue ends.
    void detach() noexcept { detail::id<gossip_sub>(std::move(id_)); }

#if CLUSTER_GOSSIP_EXCEPTIONS
    void unsubscribe() { try_unsubscribe().value(); }
    void unsubscribe_nowait() { try_unsubscribe_nowait().value(); }
#endif

    gossip_sub raw() const noexcept { return id_.get(); }
    /// As event::subscription_number().
    std::uint64_t id_number() const noexcept { return id_.get().id; }

private:
    friend class node;
    explicit subscription(gossip_sub raw) noexcept : id_(raw) {}
    detail::id<gossip_sub> id_;
};

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
