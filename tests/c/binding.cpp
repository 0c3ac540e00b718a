// The C++ binding. Built twice: with exceptions, and with -fno-exceptions -fno-rtti, where the throwing forms do not exist.
#include "cluster_gossip.hpp"

#include <atomic>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

namespace cg = cluster_gossip;
using namespace std::string_literals;
using namespace std::string_view_literals;
using std::chrono::milliseconds;

static constexpr milliseconds patience{PATIENCE_MS};

static_assert(!std::is_copy_constructible_v<cg::node> && std::is_nothrow_move_constructible_v<cg::node>);
static_assert(!std::is_copy_constructible_v<cg::queue> && std::is_nothrow_move_constructible_v<cg::queue>);
static_assert(!std::is_copy_constructible_v<cg::subscription> && std::is_nothrow_move_constructible_v<cg::subscription>);
static_assert(!std::is_copy_constructible_v<cg::config> && std::is_nothrow_move_constructible_v<cg::config>);
static_assert(!std::is_copy_constructible_v<cg::entries> && std::is_nothrow_move_constructible_v<cg::entries>);
static_assert(std::is_nothrow_copy_constructible_v<cg::error>);

// What it takes to open a node on loopback. The test has failed where the result is not ok.
static cg::result<cg::node> open(std::string_view id, std::string_view seeds = {}) {
    auto node = cg::node::try_open({{"cluster", "cpp"}, {"bind", "127.0.0.1:0"}, {"id", id}, {"seeds", seeds}});
    if (!node) {
        check_fail(__FILE__, __LINE__, "node::try_open");
        std::printf("#    %s\n", node.error().what());
    }
    return node;
}

#define OPEN(name, ...)                  \
    auto name##_result = open(__VA_ARGS__); \
    CHECK(name##_result);                \
    cg::node &name = *name##_result

TEST(an_error_has_status_name_and_message) {
    const auto wrong = cg::node::try_open({{"clutser", "cpp"}});
    CHECK(!wrong);
    CHECK_STATUS(wrong.status(), GOSSIP_ERR_UNKNOWN_SETTING);
    const cg::error &error = wrong.error();
    CHECK_TEXT(error.name(), "GOSSIP_ERR_UNKNOWN_SETTING");
    CHECK(error.message().find("clutser") != std::string_view::npos);
    CHECK(error.what() == "GOSSIP_ERR_UNKNOWN_SETTING: " + std::string(error.message()));
    CHECK(!error.can_retry());
    CHECK(cg::error(GOSSIP_ERR_BUSY).can_retry());
    CHECK(cg::error(GOSSIP_ERR_BUSY).message() == gossip_status_text(GOSSIP_ERR_BUSY));
}

TEST(tables_of_statuses_and_settings_are_whole) {
    CHECK_EQ(cg::statuses().size(), gossip_status_count());
    CHECK_EQ(cg::settings().size(), gossip_setting_count());
    CHECK_TEXT(cg::statuses()[0].name, "GOSSIP_OK");
    bool live = false, fixed = false;
    for (const auto &s : cg::settings()) (s.live ? live : fixed) = true;
    CHECK(live && fixed);
    CHECK(cg::version() == gossip_version());
    CHECK_EQ(cg::abi_version(), GOSSIP_ABI_VERSION);
}

TEST(configuration_is_checked_and_kept) {
    auto config = cg::config::try_create();
    CHECK(config);
    CHECK(config->try_set("cluster", "cpp"));
    CHECK(config->try_set("bind", "127.0.0.1:0"));
    CHECK(*config->try_get("cluster") == "cpp");
    CHECK_STATUS(config->try_set("gossip_fanout", "many").status(), GOSSIP_ERR_BAD_SETTING);
    CHECK_STATUS(config->try_set("clus\0ter"sv, "x").status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(config->try_set("cluster", "x\0y"sv).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    auto a = cg::node::try_open(*config), b = cg::node::try_open(*config);
    CHECK(a && b);
    CHECK(a->id_number() != b->id_number());
    CHECK(*a->try_setting("cluster") == "cpp");
    CHECK(a->try_reconfigure("tags", "role=x"));
    CHECK_STATUS(a->try_reconfigure("bind", "127.0.0.1:1").status(), GOSSIP_ERR_NOT_LIVE);
    auto text = cg::node::try_open_text("# the cluster of these tests\ncluster=cpp\nbind=127.0.0.1:0\ntags=role=y,zone=z\n");
    CHECK(text);
    const auto self = text->try_self();
    CHECK(self && self->size() == 1);
    CHECK((*self)[0].is_self());
    CHECK((*self)[0].tag("role") == "y"sv);
    CHECK(!(*self)[0].tag("none"));
    CHECK_EQ((*self)[0].tags().size(), 2);
    CHECK((*self)[0].tags()[1].first == "zone" && (*self)[0].tags()[1].second == "z");
}

// Sets v and reads it as T.
template <class T, class V>
static bool round_trip(cg::node &node, const V &v, cg::value_kind kind, const T &want) {
    if (!node.try_set("k", v)) return false;
    const auto found = node.try_get_own("k");
    if (!found || !*found || (*found)->kind() != kind) return false;
    const auto view = (*found)->value();
    const auto *as = std::get_if<T>(&view);
    return as != nullptr && *as == want && cg::copy(view).index() == view.index();
}

TEST(values_keep_their_types) {
    OPEN(node, "values");
    using kind = cg::value_kind;
    const cg::bytes raw{0, 255, 0};
    CHECK(round_trip(node, raw, kind::bytes, cg::bytes_view(raw)));
    CHECK(round_trip(node, cg::bytes_view("\0\1"sv), kind::bytes, cg::bytes_view("\0\1"sv)));
    CHECK(round_trip(node, cg::bytes(), kind::bytes, cg::bytes_view()));
    CHECK(round_trip(node, "literal", kind::text, "literal"sv));
    CHECK(round_trip(node, "with\0zero"s, kind::text, "with\0zero"sv));
    CHECK(round_trip(node, ""sv, kind::text, ""sv));
    CHECK(round_trip(node, true, kind::boolean, true));
    CHECK(round_trip(node, false, kind::boolean, false));
    CHECK(round_trip(node, 5, kind::integer, std::int64_t{5}));
    CHECK(round_trip(node, 4294967295u, kind::integer, std::int64_t{4294967295}));
    CHECK(round_trip(node, INT64_MIN, kind::integer, std::int64_t{INT64_MIN}));
    CHECK(round_trip(node, -0.1, kind::number, -0.1));
    CHECK(round_trip(node, 2.5f, kind::number, 2.5));
    const cg::message message{"type.example.org/shop.Order", {10, 1, 120}};
    CHECK(round_trip(node, message, kind::message, cg::message_view{message.type_url, cg::bytes_view(message.data)}));
    const cg::value owned = std::string("owned");
    CHECK(round_trip(node, owned, kind::text, "owned"sv));
    CHECK(round_trip(node, cg::value_view(std::int64_t{7}), kind::integer, std::int64_t{7}));

    CHECK(node.try_set("k", message));
    const auto entry = node.try_get_own("k");
    CHECK((*entry)->type_url() == message.type_url && (*entry)->data().copy() == message.data);
    CHECK(!(*entry)->text() && !(*entry)->boolean() && !(*entry)->integer() && !(*entry)->number());
    CHECK(cg::copy((*entry)->value()) == cg::value(message));

    CHECK_STATUS(node.try_set("k", cg::value()).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(node.try_set("k", cg::message{"a\0b"s, {}}).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(node.try_set("k", "\xff"sv).status(), GOSSIP_ERR_INVALID_ARGUMENT);
}

TEST(set_get_erase) {
    OPEN(a, "a");
    const auto address = a.try_address();
    CHECK(address);
    OPEN(b, "b", *address);
    CHECK(*b.try_id() == "b");
    CHECK(*a.try_wait_for_members(2, patience));
    CHECK(*b.try_wait_synced(patience));
    CHECK(!*a.try_wait_for_members(3, milliseconds(10)));

    const auto first = a.try_set("key\0zero"sv, "x");
    CHECK(first && *first > 0);
    CHECK_EQ(*a.try_set("key\0zero"sv, "x", {milliseconds(0), true}), *first);
    CHECK(*a.try_set("key\0zero"sv, "y") > *first);
    CHECK(b.try_set("key\0zero"sv, "z"));
    CHECK(UNTIL(a.try_get("key\0zero"sv)->size() == 2));
    std::size_t count = 0;
    for (auto entry : *a.try_get("key\0zero"sv)) {
        CHECK(entry.key() == "key\0zero"sv);
        CHECK(entry.text() == (entry.member() == "a" ? "y"sv : "z"sv));
        CHECK(entry.age().count() >= 0 && entry.generation() > 0 && entry.sequence_number() > 0);
        CHECK(entry.status() == cg::member_status::alive);
        ++count;
    }
    CHECK_EQ(count, 2);
    auto of_b = a.try_get("b", "key\0zero"sv);
    CHECK(of_b && *of_b && (*of_b)->text() == "z"sv);
    // The list goes with its entry.
    const cg::maybe_entry moved = std::move(*of_b);
    CHECK(moved->text() == "z"sv && moved->member() == "b");
    CHECK(!*a.try_get("nobody", "key"));
    CHECK_EQ(a.try_get_prefix("key")->size(), 2);
    CHECK_EQ(a.try_get_prefix("b", "key")->size(), 1);
    CHECK(a.try_get_prefix("")->size() >= 2);
    CHECK(!a.try_get_prefix("key")->packed().empty());
    CHECK(cg::entries().empty() && cg::entries().packed().empty());

    CHECK(a.try_erase("key\0zero"sv));
    CHECK_STATUS(a.try_erase("key\0zero"sv).status(), GOSSIP_ERR_NOT_FOUND);
    CHECK_STATUS(a.try_set("cluster:x", 1).status(), GOSSIP_ERR_RESERVED_KEY);
    CHECK_STATUS(a.try_set("", 1).status(), GOSSIP_ERR_INVALID_KEY);
    CHECK_STATUS(a.try_set(std::string_view(), 1).status(), GOSSIP_ERR_INVALID_KEY);
    CHECK(a.try_set("short", 1, {milliseconds(50), false}));
    CHECK(UNTIL(!*a.try_get_own("short")));

    const auto members = a.try_get_members();
    CHECK(members && members->size() == 2);
    for (auto member : *members) {
        CHECK(member.status() == cg::member_status::alive && !member.address().empty());
        CHECK(member.is_self() == (member.id() == "a"));
        CHECK(member.status_age().count() >= 0 && member.generation() > 0);
        CHECK(!member.round_trip() || member.round_trip()->count() >= 0);
    }
    CHECK(b.try_close());
    CHECK(UNTIL(a.try_get_members()->size() == 1));
    CHECK_EQ(a.try_get_members(cg::members_of::departed_too)->size(), 2);
    CHECK_EQ(a.try_get("key\0zero"sv)->size(), 0);
    CHECK_EQ(a.try_get("key\0zero"sv, cg::members_of::departed_too)->size(), 1);
}

TEST(heartbeats_are_read_as_protobuf_writes_them) {
    const auto parse = [](std::string_view encoded) { return cg::parse_heartbeat(cg::bytes_view(encoded)); };
    CHECK(parse("") && parse("")->empty());
    CHECK(*parse("\x0a\x00"sv) == cg::statistics{});
    CHECK((*parse("\x0a\x08\x0a\x06\x0a\x01"
                  "a\x10\xac\x02"sv) == cg::statistics{{"a", 300}}));
    // Unknown fields of each wire type, the statistics in two parts, a name and a number that are left out, and the smallest number.
    CHECK((*parse("\x10\x05\x19\1\2\3\4\5\6\7\x08\x22\2\1\1\x2d\1\2\3\4"
                  "\x0a\x05\x0a\x03\x0a\x01z"
                  "\x0a\x0f\x0a\x0d\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x18\x07"sv) ==
           cg::statistics{{"z", 0}, {"", INT64_MIN}}));
    const std::string_view wrong[] = {"\x0a"sv, "\x0a\x05\x01"sv, "\x08"sv, "\0"sv, "\x0b"sv, "\x80"sv, "\x19\1"sv, "\x2d\1"sv,
                                      "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv,
                                      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv, "\x0a\x03\x0a\x01\x0a"sv};
    for (const auto encoded : wrong) CHECK(!parse(encoded));
    // Of all cuts and changes of a valid one none does anything else than be read or be refused.
    const std::string valid("\x0a\x08\x0a\x06\x0a\x01"
                            "a\x10\xac\x02");
    for (std::size_t at = 0; at < valid.size(); ++at)
        for (int value = 0; value < 256; ++value) {
            std::string changed = value % 2 != 0 ? valid : valid.substr(0, at + 1);
            changed[at] = static_cast<char>(value);
            (void)parse(changed);
        }
}

TEST(bans_statistics_and_topology) {
    OPEN(a, "a");
    auto queue = cg::queue::try_create();
    CHECK(queue);
    const auto topology = a.try_subscribe(cg::filter(cg::event_kind::topology), *queue);
    CHECK(topology);
    OPEN(b, "b", *a.try_address());
    CHECK(*a.try_wait_for_members(2, patience));
    CHECK(*b.try_wait_for_members(2, patience));
    CHECK(a.try_set_statistic("rooms", 3));
    CHECK(a.try_set_statistic("gone", 3));
    CHECK(a.try_delete_statistic("gone"));
    CHECK(UNTIL(b.try_heartbeats()->count("a") == 1 && b.try_heartbeats()->at("a").count("rooms") == 1));
    CHECK_EQ(b.try_heartbeats()->at("a").at("rooms"), 3);
    CHECK(b.try_heartbeats()->count("b") == 0);
    CHECK_STATUS(a.try_set_statistic("", 1).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(a.try_set_statistic("a\0b"sv, 1).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(a.try_delete_statistic("a\0b"sv).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    int members = 0;
    std::string hash;
    const auto two_are_told = [&] {
        const auto events = queue->try_take(1, milliseconds(100));
        if (!events || events->empty()) return false;
        members = (*events)[0].code();
        hash = std::string((*events)[0].text());
        return members == 2;
    };
    CHECK(UNTIL(two_are_told()));
    CHECK_EQ(hash.size(), 16);

    CHECK(*a.try_bans() == "[]");
    CHECK(a.try_ban("b"));
    CHECK(*a.try_bans() == R"([{"by":"a","id":"b"}])");
    CHECK(UNTIL(*b.try_state() == cg::node_state::banned));
    CHECK_STATUS(b.try_set("k", 1).status(), GOSSIP_ERR_BANNED);
    CHECK(b.try_unban("b"));
    CHECK(UNTIL(*a.try_bans() == "[]"));
    CHECK_STATUS(a.try_ban("a").status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK(a.try_ban("a").error().message().find("itself") != std::string_view::npos);
    CHECK_STATUS(a.try_ban("a\0b"sv).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(a.try_unban("a\0b"sv).status(), GOSSIP_ERR_INVALID_ARGUMENT);
    CHECK(b.try_kill());
    CHECK_STATUS(b.try_ban("x").status(), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(b.try_bans().status(), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(b.try_heartbeats().status(), GOSSIP_ERR_CLOSED);
}

TEST(pages_are_texts) {
    OPEN(node, "pages");
    CHECK(node.try_set("page:key", 1));
    CHECK(node.try_describe()->find("pages") != std::string::npos);
    CHECK(node.try_snapshot()->find("page:key") != std::string::npos);
    CHECK(node.try_snapshot(GOSSIP_FORMAT_PROTOBUF)->size() > 10);
    CHECK(node.try_metrics()->front() == '{');
    CHECK(node.try_metrics(GOSSIP_FORMAT_PROMETHEUS)->find("# TYPE") != std::string::npos);
    CHECK(node.try_offsets());
    CHECK(*node.try_state() == cg::node_state::alone || *node.try_state() == cg::node_state::starting);
}

TEST(queues_take_wake_and_end) {
    auto queue = cg::queue::try_create();
    CHECK(queue);
    CHECK(queue->try_take(10, milliseconds(0))->empty());
    CHECK(queue->try_wake());
    CHECK(queue->try_take(10, cg::forever)->empty());
    CHECK(*queue->try_fd() >= 0);
    {
        OPEN(node, "queue");
        auto sub = node.try_subscribe(cg::filter(cg::event_kind::entries).key("q:", cg::filter::prefix).member("queue"), *queue, 7);
        CHECK(sub);
        for (int i = 0; i < 10; ++i) CHECK(node.try_set("q:x", i));
        CHECK(node.try_set("other", 1));
        const auto events = queue->try_take(10, patience);
        CHECK(events && events->size() == 1 && !events->packed().empty());
        for (auto event : *events) {
            CHECK(event.kind() == cg::event_kind::entry_changed && contains(cg::event_kind::entries, event.kind()));
            CHECK(event.tag() == 7 && event.conflated() == 10 && event.entry()->integer() == 9);
            CHECK_EQ(event.node_number(), node.id_number());
            CHECK_EQ(event.subscription_number(), sub->id_number());
            CHECK(!event.member() && event.text().empty() && event.target().empty());
        }
        CHECK(sub->try_unsubscribe());
        CHECK_STATUS(sub->try_unsubscribe().status(), GOSSIP_ERR_CLOSED);
        auto again = node.try_subscribe(cg::filter(cg::event_kind::members).initial(), *queue, 8);
        CHECK(again);
        again->detach();
    }
    bool joined = false, initial_done = false, closed = false;
    CHECK(UNTIL([&] {
        const auto events = queue->try_take(1, milliseconds(100));
        for (auto event : *events) {
            if (event.kind() == cg::event_kind::member_joined) joined = event.member()->id() == "queue";
            if (event.kind() == cg::event_kind::initial_done) initial_done = true;
            if (event.kind() == cg::event_kind::closed) closed = true;
        }
        return closed;
    }()));
    CHECK(joined && initial_done);
}

// Counts its copies that live.
struct counted {
    std::atomic<int> *alive;
    explicit counted(std::atomic<int> &count) : alive(&count) { ++*alive; }
    counted(const counted &other) : alive(other.alive) { ++*alive; }
    ~counted() { --*alive; }
};

TEST(callbacks_are_called_and_destroyed) {
    std::atomic<int> alive{0};
    std::atomic<std::int64_t> last{0};
    {
        OPEN(node, "callbacks");
        const counted token(alive);
        auto sub = node.try_subscribe(cg::filter(cg::event_kind::entries).key("c"), [&last, token](const cg::event &event) noexcept {
            if (auto entry = event.entry()) last = entry->integer().value_or(-1);
        });
        CHECK(sub);
        CHECK_EQ(alive, 2);
        CHECK(node.try_set("c", 1));
        CHECK(UNTIL(last == 1));
        cg::subscription elsewhere = std::move(*sub);
        CHECK_STATUS(sub->try_unsubscribe().status(), GOSSIP_ERR_INVALID_HANDLE);
        CHECK(node.try_set("c", 2));
        CHECK(UNTIL(last == 2));
        CHECK_EQ(alive, 2);
        { const cg::subscription ended = std::move(elsewhere); }
        CHECK_EQ(alive, 1);
        // Replacing a subscription ends the old one.
        auto one = node.try_subscribe(cg::filter(), [token](const cg::event &) noexcept {});
        auto two = node.try_subscribe(cg::filter(), [token](const cg::event &) noexcept {});
        CHECK_EQ(alive, 3);
        *one = std::move(*two);
        CHECK_EQ(alive, 2);
        CHECK(node.try_close());
        CHECK_EQ(alive, 1);
        // Where subscribing fails the function is gone at once.
        CHECK_STATUS(node.try_subscribe(cg::filter(), [token](const cg::event &) noexcept {}).status(), GOSSIP_ERR_CLOSED);
        CHECK_STATUS(node.try_subscribe(cg::filter().member("a\0b"sv), [token](const cg::event &) noexcept {}).status(),
                     GOSSIP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(alive, 1);
    }
    CHECK_EQ(alive, 0);
}

TEST(a_callback_may_end_its_subscription_and_use_the_node) {
    std::atomic<int> calls{0}, alive{0};
    std::atomic<gossip_status> waiting{1}, set{1};
    OPEN(node, "inside");
    std::atomic<cg::subscription *> self{nullptr};
    auto sub = node.try_subscribe(cg::filter(cg::event_kind::entries).key("c"), [&, token = counted(alive)](const cg::event &event) noexcept {
        ++calls;
        set = node.try_set("answer", 42).status();
        if (!event.entry() || event.entry()->integer() != 2) return;
        auto *mine = self.load();
        waiting = mine->try_unsubscribe().status();
        // Its destructor does not wait here, and what the function holds lives until it returns.
        cg::subscription ended(std::move(*mine));
    });
    CHECK(sub);
    self = &*sub;
    CHECK(node.try_set("c", 1));
    CHECK(UNTIL(calls == 1));
    CHECK(UNTIL(*node.try_get_own("answer")));
    CHECK(node.try_set("c", 2));
    CHECK(UNTIL(alive == 0));
    CHECK_STATUS(waiting, GOSSIP_ERR_WOULD_DEADLOCK);
    CHECK_STATUS(set, GOSSIP_OK);
    CHECK_EQ(calls, 2);
}

TEST(a_callback_may_destroy_its_node) {
    std::atomic<int> alive{0};
    std::atomic<bool> done{false};
    auto opened = open("destroyed");
    CHECK(opened);
    auto *node = new cg::node(std::move(*opened));
    auto sub = node->try_subscribe(cg::filter(cg::event_kind::entries).key("c"),
                                   [&, token = counted(alive)](const cg::event &event) noexcept {
                                       if (event.kind() != cg::event_kind::entry_changed || done) return;
                                       delete node;
                                       done = true;
                                   });
    CHECK(sub);
    const auto number = node->raw();
    CHECK(node->try_set("c", 1));
    CHECK(UNTIL(done.load()));
    CHECK(UNTIL(alive == 0));
    int32_t state = 0;
    CHECK_STATUS(gossip_state(number, &state), GOSSIP_ERR_CLOSED);
}

TEST(closing_leaves_and_may_be_repeated) {
    OPEN(a, "a");
    OPEN(b, "b", *a.try_address());
    CHECK(*a.try_wait_for_members(2, patience));
    CHECK(*b.try_wait_for_members(2, patience));
    CHECK(b.try_close());
    CHECK(b.try_close());
    CHECK_STATUS(b.try_set("k", 1).status(), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(b.try_get("k").status(), GOSSIP_ERR_CLOSED);
    CHECK_STATUS(b.try_state().status(), GOSSIP_ERR_CLOSED);
    CHECK(UNTIL([&] {
        for (auto member : *a.try_get_members(cg::members_of::departed_too))
            if (member.id() == "b") return member.status() == cg::member_status::left;
        return false;
    }()));
    // A destructor says goodbye as well.
    {
        OPEN(c, "c", *a.try_address());
        CHECK(*a.try_wait_for_members(2, patience));
        CHECK(*c.try_wait_for_members(2, patience));
    }
    CHECK(UNTIL([&] {
        for (auto member : *a.try_get_members(cg::members_of::departed_too))
            if (member.id() == "c") return member.status() == cg::member_status::left;
        return false;
    }()));
    CHECK(a.try_leave_nowait());
    CHECK(UNTIL(*a.try_state() == cg::node_state::left));
    CHECK_STATUS(a.try_set("k", 1).status(), GOSSIP_ERR_LEFT);
}

TEST(moved_from_and_reassigned_objects_are_harmless) {
    OPEN(one, "one");
    OPEN(two, "two");
    const auto first = one.raw();
    int32_t state = 0;
    cg::node moved = std::move(one);
    CHECK_STATUS(one.try_set("k", 1).status(), GOSSIP_ERR_INVALID_HANDLE);
    CHECK_STATUS(one.try_close().status(), GOSSIP_ERR_INVALID_HANDLE);
    CHECK(moved.try_set("k", 1));
    moved = std::move(two);
    CHECK_STATUS(gossip_state(first, &state), GOSSIP_ERR_CLOSED);
    CHECK(*moved.try_id() == "two");
}

TEST(a_forked_child_may_destroy_what_it_inherited) {
    OPEN(node, "parent");
    auto queue = cg::queue::try_create();
    CHECK(queue);
    auto sub = node.try_subscribe(cg::filter(), *queue);
    auto callback = node.try_subscribe(cg::filter(), [](const cg::event &) noexcept {});
    CHECK(sub && callback);
    std::fflush(nullptr);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        const bool told = node.try_set("k", 1).status() == GOSSIP_ERR_FORKED && node.try_close().status() == GOSSIP_ERR_FORKED;
        { const auto s = std::move(*sub); }
        { const auto c = std::move(*callback); }
        { const auto q = std::move(*queue); }
        { const auto n = std::move(node); }
        auto own = open("child");
        check_leave_child(told && own && own->try_set("k", 1) && own->try_close() ? 0 : 1);
    }
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK(node.try_set("k", 2));
}

#if CLUSTER_GOSSIP_EXCEPTIONS

TEST(throwing_forms_throw_the_same_errors) {
    auto node = cg::node::open({{"cluster", "cpp"}, {"bind", "127.0.0.1:0"}, {"id", "throws"}});
    gossip_status seen = GOSSIP_OK;
    try {
        node.set("cluster:x", 1);
    } catch (const cg::error &error) {
        seen = error.status();
        CHECK(std::string(error.what()).find("GOSSIP_ERR_RESERVED_KEY: ") == 0);
    }
    CHECK_STATUS(seen, GOSSIP_ERR_RESERVED_KEY);
    try {
        cg::node::open_text("gossip_fanout=many");
    } catch (const std::exception &) {
        seen = GOSSIP_OK;
    }
    CHECK_STATUS(seen, GOSSIP_OK);

    auto config = cg::config::create();
    config.set("cluster", "cpp");
    config.set("bind", "127.0.0.1:0");
    CHECK(config.get("cluster") == "cpp");
    auto other = cg::node::open(config);
    auto queue = cg::queue::create();
    auto sub = node.subscribe(cg::filter(cg::event_kind::entries).key("k"), queue, 1);
    CHECK(node.set("k", "v") > 0);
    CHECK_EQ(queue.take(10, patience).size(), 1);
    CHECK(queue.fd() >= 0);
    queue.wake();
    CHECK(queue.take(10, cg::forever).empty());
    for (auto entry : node.get("k")) CHECK(entry.text() == "v"sv);
    CHECK(node.get("throws", "k")->text() == "v"sv);
    node.ban("x");
    CHECK(node.bans() == R"([{"by":"throws","id":"x"}])");
    node.unban("x");
    CHECK(node.bans() == "[]");
    node.set_statistic("n", -1);
    node.delete_statistic("none");
    CHECK(UNTIL(node.heartbeats().count("throws") == 1));
    CHECK_EQ(node.heartbeats().at("throws").at("n"), -1);
    CHECK(node.get_own("k")->text() == "v"sv);
    CHECK_EQ(node.get_prefix("k").size(), 1);
    CHECK_EQ(node.get_prefix("throws", "k").size(), 1);
    node.erase("k");
    CHECK(!node.get_own("k"));
    CHECK(node.get_members().size() == 1 && node.self()[0].id() == "throws" && node.id() == "throws");
    CHECK(node.address().find("127.0.0.1:") == 0);
    CHECK(node.setting("cluster") == "cpp");
    node.reconfigure("tags", "a=b");
    CHECK(node.wait_for_members(1, patience) && node.wait_synced(patience));
    CHECK(node.state() == cg::node_state::alone);
    CHECK(!node.describe().empty() && !node.snapshot().empty() && !node.offsets().empty() && !node.metrics().empty());
    sub.unsubscribe();
    auto callback = node.subscribe(cg::filter(), [](const cg::event &) noexcept {});
    callback.unsubscribe_nowait();
    (void)node.leave(patience);
    node.close();
    other.leave_nowait();
    other.kill();
    try {
        node.set("k", 1);
    } catch (const cg::error &error) {
        seen = error.status();
    }
    CHECK_STATUS(seen, GOSSIP_ERR_CLOSED);
}

TEST(an_exception_in_a_callback_goes_to_its_handler) {
    std::atomic<int> calls{0}, told{0};
    std::string text;
    OPEN(node, "throwing");
    auto sub = node.try_subscribe(
        cg::filter(cg::event_kind::entries).key("c"),
        [&](const cg::event &event) {
            ++calls;
            if (event.entry()->integer() == 1) throw std::runtime_error("out of the callback");
            if (event.entry()->integer() == 2) throw 2;
        },
        [&](const std::exception_ptr &thrown) {
            try {
                std::rethrow_exception(thrown);
            } catch (const std::exception &error) {
                text = error.what();
            } catch (...) {
            }
            ++told;
            throw 3;  // goes nowhere
        });
    CHECK(sub);
    CHECK(node.try_set("c", 1));
    CHECK(UNTIL(told == 1));
    CHECK_TEXT(text.c_str(), "out of the callback");
    CHECK(node.try_set("c", 2));
    CHECK(UNTIL(told == 2));
    CHECK(node.try_set("c", 3));
    CHECK(UNTIL(calls == 3));
    CHECK_EQ(told, 2);
    CHECK(sub->try_unsubscribe());
}

#endif

int main() {
    RUN(an_error_has_status_name_and_message);
    RUN(tables_of_statuses_and_settings_are_whole);
    RUN(configuration_is_checked_and_kept);
    RUN(values_keep_their_types);
    RUN(set_get_erase);
    RUN(heartbeats_are_read_as_protobuf_writes_them);
    RUN(bans_statistics_and_topology);
    RUN(pages_are_texts);
    RUN(queues_take_wake_and_end);
    RUN(callbacks_are_called_and_destroyed);
    RUN(a_callback_may_end_its_subscription_and_use_the_node);
    RUN(a_callback_may_destroy_its_node);
    RUN(closing_leaves_and_may_be_repeated);
    RUN(moved_from_and_reassigned_objects_are_harmless);
    if (check_child_may_allocate()) RUN(a_forked_child_may_destroy_what_it_inherited);
#if CLUSTER_GOSSIP_EXCEPTIONS
    RUN(throwing_forms_throw_the_same_errors);
    RUN(an_exception_in_a_callback_goes_to_its_handler);
#endif
    return check_end();
}
