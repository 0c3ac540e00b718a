// Cluster Gossip for C++17: a node, one member of a cluster in this process. Part of cluster_gossip.hpp, which is what
// programs include.
#ifndef CLUSTER_GOSSIP_NODE_HPP
#define CLUSTER_GOSSIP_NODE_HPP

#include <initializer_list>
#include <memory>

#include "cluster_gossip/config.hpp"
#include "cluster_gossip/heartbeat.hpp"
#include "cluster_gossip/subscription.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

/// Which members get() reads.
enum class members_of : std::uint32_t {
    present = 0,                      ///< alive and suspect
    departed_too = GOSSIP_GET_DEPARTED,  ///< also dead, left and banned ones, whose state is kept for a grace period
};

/// How set() writes.
struct set_options {
    milliseconds ttl{0};      ///< 0: lives until it is deleted
    bool if_changed = false;  ///< no new sequence number where type and value are what is there already
};

/// This process's place in a cluster. Many may live in one process.
class node {
public:
    using name_and_value = std::pair<std::string_view, std::string_view>;

    /// Binds and returns; joining goes on behind it (try_wait_synced, event_kind::node_state).
    static result<node> try_open(std::initializer_list<name_and_value> settings) {
        auto c = config::try_create();
        if (!c) return c.error();
        for (const auto &[name, value] : settings)
            if (auto r = c->try_set(name, value); !r) return r.error();
        return try_open(*c);
    }
    /// The configuration is copied and may be used again.
    static result<node> try_open(const config &settings) {
        if (auto r = detail::ready(); !r) return r.error();
        gossip_node raw{0};
        char message[GOSSIP_ERRBUF];
        if (const auto status = gossip_open(settings.raw(), &raw, message, sizeof message)) return error(status, message);
        return node(raw);
    }
    /// Settings as "name=value" lines; blank ones and those that begin with # are passed over.
    static result<node> try_open_text(std::string_view settings) {
        if (auto r = detail::ready(); !r) return r.error();
        const auto text = detail::without_nul(settings, "the settings");
        if (!text) return text.error();
        gossip_node raw{0};
        char message[GOSSIP_ERRBUF];
        if (const auto status = gossip_open_text(text->c_str(), &raw, message, sizeof message)) return error(status, message);
        return node(raw);
    }

    node(node &&) noexcept = default;
    node &operator=(node &&other) noexcept {
        node(std::move(other)).id_.swap(id_);
        return *this;
    }
    /// Sends a leave notice without waiting for an answer, and closes. Waits for a callback that runs now, so hold no
    /// lock that it wants; destroyed inside a callback it does not wait.
    ~node() {
        gossip_leave_nowait(id_.get());
        if (gossip_close(id_.get()) == GOSSIP_ERR_WOULD_DEADLOCK) gossip_close_nowait(id_.get());
    }

    // ---- life ----

    result<void> try_reconfigure(std::string_view name, std::string_view value) {
        const auto n = detail::without_nul(name, "the setting's name");
        if (!n) return n.error();
        const auto v = detail::without_nul(value, "the setting's value");
        if (!v) return v.error();
        char message[GOSSIP_ERRBUF];
        return detail::outcome(gossip_reconfigure(id_.get(), n->c_str(), v->c_str(), message, sizeof message), message);
    }
    /// A setting's effective value.
    result<std::string> try_setting(std::string_view name) const {
        const auto n = detail::without_nul(name, "the setting's name");
        if (!n) return n.error();
        gossip_bytes *out = nullptr;
        if (const auto status = gossip_setting_get(id_.get(), n->c_str(), &out)) return error(status);
        return detail::take_text(out);
    }
    result<node_state> try_state() const {
        std::int32_t out = 0;
        if (const auto status = gossip_state(id_.get(), &out)) return error(status);
        return static_cast<node_state>(out);
    }
    /// Tells the others and waits until enough have acknowledged: false when the time, or that of the setting
    /// leave_timeout, is up before.
    result<bool> try_leave(milliseconds timeout) { return in_time(gossip_leave(id_.get(), detail::timeout(timeout))); }
    /// event_kind::node_state tells its end.
    result<void> try_leave_nowait() { return detail::outcome(gossip_leave_nowait(id_.get())); }
    /// Leaves (for at most the setting leave_timeout), then closes. Afterwards no callback runs and none will; inside a
    /// callback of this node the closing is not waited for. Closing what is closed is no error.
    result<void> try_close() {
        gossip_leave(id_.get(), -1);
        return try_kill();
    }
    /// Closes without a word: for the others it is a crash.
    result<void> try_kill() {
        auto status = gossip_close(id_.get());
        if (status == GOSSIP_ERR_WOULD_DEADLOCK) status = gossip_close_nowait(id_.get());
        return detail::outcome(status == GOSSIP_ERR_CLOSED ? GOSSIP_OK : status);
    }
    /// Until so many members, this one included, are alive here: false when the time is up before.
    result<bool> try_wait_for_members(std::size_t alive, milliseconds timeout) const {
        return in_time(gossip_wait_for_members(id_.get(), alive, detail::timeout(timeout)));
    }
    /// Until this node has once been equal to a peer, or has no seeds: false when the time is up before.
    result<bool> try_wait_synced(milliseconds timeout) const {
        return in_time(gossip_wait_synced(id_.get(), detail::timeout(timeout)));
    }

    // ---- state ----

    /// Publishes a value: bytes_view, a text, bool, an integer, a floating-point number, message, value or value_view.
    /// Gives the sequence number. Never waits; this thread's next get sees it.
    template <class V>
    result<std::uint64_t> try_set(std::string_view key, const V &value, set_options options = {}) {
        return set_view(key, detail::view_of(value), options);
    }
    /// GOSSIP_ERR_NOT_FOUND where there is no such key. (delete is a word of C++.)
    result<void> try_erase(std::string_view key) {
        return detail::outcome(gossip_delete(id_.get(), detail::data(key), key.size()));
    }
    /// The key's entries of all members.
    result<entries> try_get(std::string_view key, members_of which = members_of::present) const {
        return read(nullptr, key, static_cast<std::uint32_t>(which));
    }
    /// One member's entry.
    result<maybe_entry> try_get(std::string_view member, std::string_view key, members_of which = members_of::present) const {
        const auto id = detail::without_nul(member, "the member's id");
        if (!id) return id.error();
        auto found = read(id->c_str(), key, static_cast<std::uint32_t>(which));
        if (!found) return found.error();
        return maybe_entry(std::move(*found));
    }
    /// This node's own entry.
    result<maybe_entry> try_get_own(std::string_view key) const {
        gossip_entries *out = nullptr;
        if (const auto status = gossip_get_own(id_.get(), detail::data(key), key.size(), &out)) return error(status);
        return maybe_entry(entries(out));
    }
    /// All entries whose keys begin so; an empty prefix takes every key of the hosts' own. Those of the library begin "cluster:" and
    /// are given only for a prefix that begins so.
    result<entries> try_get_prefix(std::string_view prefix, members_of which = members_of::present) const {
        return read(nullptr, prefix, static_cast<std::uint32_t>(which) | GOSSIP_GET_PREFIX);
    }
    /// The same, of one member.
    result<entries> try_get_prefix(std::string_view member, std::string_view prefix,
                                   members_of which = members_of::present) const {
        const auto id = detail::without_nul(member, "the member's id");
        if (!id) return id.error();
        return read(id->c_str(), prefix, static_cast<std::uint32_t>(which) | GOSSIP_GET_PREFIX);
    }

    // ---- members ----

    result<members> try_get_members(members_of which = members_of::present) const {
        gossip_members *out = nullptr;
        if (const auto status = gossip_members_get(id_.get(), static_cast<std::uint32_t>(which), &out)) return error(status);
        return members(out);
    }
    /// A list of one: this node's own record.
    result<members> try_self() const {
        gossip_members *out = nullptr;
        if (const auto status = gossip_self(id_.get(), &out)) return error(status);
        return members(out);
    }
    result<std::string> try_id() const {
        const auto self = try_self();
        if (!self) return self.error();
        return std::string((*self)[0].id());
    }
    /// What others can give as a seed.
    result<std::string> try_address() const {
        const auto self = try_self();
        if (!self) return self.error();
        return std::string((*self)[0].address());
    }

    // ---- bans, statistics ----

    /// Bans a member in all of its lives, until any member lifts it: its entries are hidden everywhere, and it cannot set
    /// any (GOSSIP_ERR_BANNED). For faulty members, not hostile ones. Nothing happens if this node has banned it already.
    result<void> try_ban(std::string_view member) {
        return named_call(member, "the member's id", [&](auto id, auto message, auto size) { return gossip_ban(id_.get(), id, message, size); });
    }
    /// Lifts every ban of a member, whoever has set it; nothing happens if there is none.
    result<void> try_unban(std::string_view member) {
        return named_call(member, "the member's id", [&](auto id, auto message, auto size) { return gossip_unban(id_.get(), id, message, size); });
    }
    /// The bans that stand, as JSON: a list of objects with "id", and "by", who has banned it.
    result<std::string> try_bans() const { return text_of([&](auto out) { return gossip_bans(id_.get(), out); }); }
    /// Sets one of this host's statistics, which all members read with heartbeats(): 1 to 255 bytes, at most 1,024 names. Published
    /// when it changes, at most once in the setting heartbeat_interval.
    result<void> try_set_statistic(std::string_view name, std::int64_t value) {
        return named_call(name, "the statistic's name", [&](auto text, auto message, auto size) {
            return gossip_statistic_set(id_.get(), text, value, message, size);
        });
    }
    /// Nothing happens if there is none of that name.
    result<void> try_delete_statistic(std::string_view name) {
        return named_call(name, "the statistic's name", [&](auto text, auto message, auto size) {
            return gossip_statistic_delete(id_.get(), text, message, size);
        });
    }
    /// The statistics of all members that have published any, by member id. What is no heartbeat is left out.
    result<std::map<std::string, statistics>> try_heartbeats(members_of which = members_of::present) const {
        const auto found = try_get(heartbeat_key, which);
        if (!found) return found.error();
        std::map<std::string, statistics> all;
        for (auto entry : *found) {
            if (entry.type_url() != heartbeat_type_url) continue;
            if (auto parsed = parse_heartbeat(entry.data())) all.insert_or_assign(std::string(entry.member()), std::move(*parsed));
        }
        return all;
    }

    // ---- changes ----

    /// Events go to the queue, each with this tag.
    result<subscription> try_subscribe(const filter &f, queue &sink, std::uint64_t tag = 0) {
        return subscribe_with(f, [&](const char *member, const char *key, std::size_t key_len, gossip_sub *out) {
            return gossip_subscribe_queue(id_.get(), static_cast<std::uint32_t>(f.what_), member, key, key_len, f.flags_,
                                          sink.raw(), tag, out);
        });
    }
    /// function(const event &) is called for each event on the node's own thread, one call at a time; it may use the node
    /// and should be short, since this node's other callbacks wait for it. An exception out of it goes to
    /// on_error(std::exception_ptr), called there and then, and the subscription goes on.
    template <class F, class H, class = std::enable_if_t<std::is_invocable_v<F &, const event &>>>
    result<subscription> try_subscribe(const filter &f, F function, H on_error) {
        using context = detail::callback<F, H>;
        std::unique_ptr<context> user(new context{std::move(function), std::move(on_error)});
        auto made = subscribe_with(f, [&](const char *member, const char *key, std::size_t key_len, gossip_sub *out) {
            return gossip_subscribe(id_.get(), static_cast<std::uint32_t>(f.what_), member, key, key_len, f.flags_,
                                    &context::call, user.get(), &context::drop, out);
        });
        // Only a subscription that was made has taken the context.
        if (made) (void)user.release();
        return made;
    }
    /// The same for a function that cannot throw.
    template <class F, class = std::enable_if_t<std::is_invocable_v<F &, const event &>>>
    result<subscription> try_subscribe(const filter &f, F function) {
#if CLUSTER_GOSSIP_EXCEPTIONS
        static_assert(std::is_nothrow_invocable_v<F &, const event &>,
                      "give an error handler for exceptions as third argument, or declare the function noexcept");
#endif
        return try_subscribe(f, std::move(function), detail::no_error_handler{});
    }

    // ---- seeing what goes on ----

    /// A page of text for people.
    result<std::string> try_describe() const { return text_of([&](auto out) { return gossip_describe(id_.get(), out); }); }
    /// Everything this node knows: GOSSIP_FORMAT_PROTOBUF (as Proto.Actor encodes it) or GOSSIP_FORMAT_JSON.
    result<std::string> try_snapshot(std::int32_t format = GOSSIP_FORMAT_JSON) const {
        return text_of([&](auto out) { return gossip_snapshot(id_.get(), format, out); });
    }
    /// Committed offsets, target by owner, as JSON.
    result<std::string> try_offsets() const { return text_of([&](auto out) { return gossip_offsets(id_.get(), out); }); }
    /// GOSSIP_FORMAT_JSON (one flat object) or GOSSIP_FORMAT_PROMETHEUS.
    result<std::string> try_metrics(std::int32_t format = GOSSIP_FORMAT_JSON) const {
        return text_of([&](auto out) { return gossip_metrics(id_.get(), format, out); });
    }

#if CLUSTER_GOSSIP_EXCEPTIONS
    // The same, throwing.
    static node open(std::initializer_list<name_and_value> settings) { return try_open(settings).value(); }
    static node open(const config &settings) { return try_open(settings).value(); }
    static node open_text(std::string_view settings) { return try_open_text(settings).value(); }
    void reconfigure(std::string_view name, std::string_view value) { try_reconfigure(name, value).value(); }
    std::string setting(std::string_view name) const { return try_setting(name).value(); }
    node_state state() const { return try_state().value(); }
    bool leave(milliseconds timeout) { return try_leave(timeout).value(); }
    void leave_nowait() { try_leave_nowait().value(); }
    void close() { try_close().value(); }
    void kill() { try_kill().value(); }
    bool wait_for_members(std::size_t alive, milliseconds timeout) const {
        return try_wait_for_members(alive, timeout).value();
    }
    bool wait_synced(milliseconds timeout) const { return try_wait_synced(timeout).value(); }
    template <class V>
    std::uint64_t set(std::string_view key, const V &value, set_options options = {}) {
        return try_set(key, value, options).value();
    }
    void erase(std::string_view key) { try_erase(key).value(); }
    entries get(std::string_view key, members_of which = members_of::present) const { return try_get(key, which).value(); }
    maybe_entry get(std::string_view member, std::string_view key, members_of which = members_of::present) const {
        return try_get(member, key, which).value();
    }
    maybe_entry get_own(std::string_view key) const { return try_get_own(key).value(); }
    entries get_prefix(std::string_view prefix, members_of which = members_of::present) const {
        return try_get_prefix(prefix, which).value();
    }
    entries get_prefix(std::string_view member, std::string_view prefix, members_of which = members_of::present) const {
        return try_get_prefix(member, prefix, which).value();
    }
    members get_members(members_of which = members_of::present) const { return try_get_members(which).value(); }
    members self() const { return try_self().value(); }
    std::string id() const { return try_id().value(); }
    std::string address() const { return try_address().value(); }
    void ban(std::string_view member) { try_ban(member).value(); }
    void unban(std::string_view member) { try_unban(member).value(); }
    std::string bans() const { return try_bans().value(); }
    void set_statistic(std::string_view name, std::int64_t value) { try_set_statistic(name, value).value(); }
    void delete_statistic(std::string_view name) { try_delete_statistic(name).value(); }
    std::map<std::string, statistics> heartbeats(members_of which = members_of::present) const {
        return try_heartbeats(which).value();
    }
    subscription subscribe(const filter &f, queue &sink, std::uint64_t tag = 0) { return try_subscribe(f, sink, tag).value(); }
    template <class F, class H, class = std::enable_if_t<std::is_invocable_v<F &, const event &>>>
    subscription subscribe(const filter &f, F function, H on_error) {
        return try_subscribe(f, std::move(function), std::move(on_error)).value();
    }
    template <class F, class = std::enable_if_t<std::is_invocable_v<F &, const event &>>>
    subscription subscribe(const filter &f, F function) {
        return try_subscribe(f, std::move(function)).value();
    }
    std::string describe() const { return try_describe().value(); }
    std::string snapshot(std::int32_t format = GOSSIP_FORMAT_JSON) const { return try_snapshot(format).value(); }
    std::string offsets() const { return try_offsets().value(); }
    std::string metrics(std::int32_t format = GOSSIP_FORMAT_JSON) const { return try_metrics(format).value(); }
#endif

    gossip_node raw() const noexcept { return id_.get(); }
    /// As event::node_number().
    std::uint64_t id_number() const noexcept { return id_.get().id; }

private:
    explicit node(gossip_node raw) noexcept : id_(raw) {}

    static result<bool> in_time(gossip_status status) {
        if (status == GOSSIP_OK) return true;
        if (status == GOSSIP_ERR_TIMEOUT) return false;
        return error(status);
    }

    result<std::uint64_t> set_view(std::string_view key, const value_view &value, set_options options) {
        const std::uint32_t flags = options.if_changed ? GOSSIP_SET_IF_CHANGED : 0;
        const std::int64_t ttl = options.ttl.count();
        std::uint64_t seq = 0;
        char message[GOSSIP_ERRBUF] = "";
        gossip_status status = GOSSIP_ERR_INVALID_ARGUMENT;
        const auto plain = [&](std::int32_t kind, const void *data, std::size_t size) {
            status = gossip_set_plain(id_.get(), detail::data(key), key.size(), kind, data, size, ttl, flags, &seq, message,
                                      sizeof message);
        };
        if (const auto *v = std::get_if<bytes_view>(&value)) {
            plain(GOSSIP_VALUE_BYTES, v->data(), v->size());
        } else if (const auto *v = std::get_if<std::string_view>(&value)) {
            plain(GOSSIP_VALUE_TEXT, v->data(), v->size());
        } else if (const auto *v = std::get_if<bool>(&value)) {
            const std::uint8_t one = *v ? 1 : 0;
            plain(GOSSIP_VALUE_BOOL, &one, sizeof one);
        } else if (const auto *v = std::get_if<std::int64_t>(&value)) {
            plain(GOSSIP_VALUE_INT, v, sizeof *v);
        } else if (const auto *v = std::get_if<double>(&value)) {
            plain(GOSSIP_VALUE_DOUBLE, v, sizeof *v);
        } else if (const auto *v = std::get_if<message_view>(&value)) {
            const auto type_url = detail::without_nul(v->type_url, "the type URL");
            if (!type_url) return type_url.error();
            status = gossip_set_with(id_.get(), detail::data(key), key.size(), type_url->c_str(), v->data.data(),
                                     v->data.size(), ttl, flags, &seq, message, sizeof message);
        } else {
            return error(status, "there is no value to set: erase deletes an entry");
        }
        if (status != GOSSIP_OK) return error(status, message);
        return seq;
    }

    result<entries> read(const char *member, std::string_view key, std::uint32_t flags) const {
        gossip_entries *out = nullptr;
        if (const auto status = gossip_get(id_.get(), member, detail::data(key), key.size(), flags, &out)) return error(status);
        return entries(out);
    }

    template <class C>
    result<subscription> subscribe_with(const filter &f, C &&call) {
        const auto member = detail::without_nul(f.member_.value_or(""), "the member's id");
        if (!member) return member.error();
        gossip_sub raw{0};
        const auto status = call(f.member_ ? member->c_str() : nullptr, f.key_ ? detail::data(*f.key_) : nullptr,
                                 f.key_ ? f.key_->size() : std::size_t{0}, &raw);
        if (status != GOSSIP_OK) return error(status);
        return subscription(raw);
    }

    template <class C>
    static result<void> named_call(std::string_view text, const char *what, C &&call) {
        const auto name = detail::without_nul(text, what);
        if (!name) return name.error();
        char message[GOSSIP_ERRBUF];
        return detail::outcome(call(name->c_str(), message, sizeof message), message);
    }

    template <class C>
    static result<std::string> text_of(C &&call) {
        gossip_bytes *out = nullptr;
        if (const auto status = call(&out)) return error(status);
        return detail::take_text(out);
    }

    detail::id<gossip_node> id_;
};

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
