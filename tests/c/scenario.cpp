// Runs tests/scenario.txt, which is given as the first argument and explains itself, through the C++ binding.
// Built with exceptions, and with -fno-exceptions -fno-rtti.
#include "cluster_gossip.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace cg = cluster_gossip;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// Ends waits that hang; nothing is measured by it.
constexpr std::chrono::minutes patience{1};

std::map<std::string, cg::node> nodes;
struct followed {
    cg::queue queue;
    cg::subscription subscription;
};
std::map<std::string, followed> subscriptions;
int line_number = 0;

// The scenario, or this program, is wrong.
[[noreturn]] void malformed(const std::string &why) {
    std::printf("# line %d: %s\n0 passed, 1 failed, 0 skipped\n", line_number, why.c_str());
    std::exit(1);
}

int hex(char digit) {
    const auto at = std::string_view("0123456789abcdef").find(static_cast<char>(digit | ((digit >= 'A' && digit <= 'F') ? 0x20 : 0)));
    if (at == std::string_view::npos) malformed("not a hexadecimal digit");
    return static_cast<int>(at);
}

class words {
public:
    explicit words(std::string_view line) {
        std::string word;
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (line[i] == ' ') {
                all_.push_back(std::move(word));
                word.clear();
            } else if (line[i] == '%' && i + 2 < line.size()) {
                word += static_cast<char>(hex(line[i + 1]) << 4 | hex(line[i + 2]));
                i += 2;
            } else {
                word += line[i];
            }
        }
        all_.push_back(std::move(word));
    }
    words(const words &other, std::size_t from) : all_(other.all_.begin() + static_cast<std::ptrdiff_t>(from), other.all_.end()) {}

    std::size_t size() const { return all_.size(); }
    const std::string &operator[](std::size_t index) const {
        if (index >= all_.size()) malformed("a word is missing");
        return all_[index];
    }
    // "-" is none.
    std::string_view or_empty(std::size_t index) const { return (*this)[index] == "-" ? std::string_view() : (*this)[index]; }
    long number(std::size_t index) const { return std::strtol((*this)[index].c_str(), nullptr, 10); }

private:
    std::vector<std::string> all_;
};

cg::node &node_named(const std::string &name) {
    const auto found = nodes.find(name);
    if (found == nodes.end()) malformed("no such node: " + name);
    return found->second;
}

followed &subscription_named(const std::string &name) {
    const auto found = subscriptions.find(name);
    if (found == subscriptions.end()) malformed("no such subscription: " + name);
    return found->second;
}

template <class T>
T named(const std::map<std::string_view, T> &names, const std::string &name) {
    const auto found = names.find(name);
    if (found == names.end()) malformed("an unknown name: " + name);
    return found->second;
}

const std::map<std::string_view, cg::member_status> statuses = {
    {"alive", cg::member_status::alive},     {"suspect", cg::member_status::suspect}, {"dead", cg::member_status::dead},
    {"leaving", cg::member_status::leaving}, {"left", cg::member_status::left},       {"banned", cg::member_status::banned}};
const std::map<std::string_view, cg::node_state> states = {
    {"starting", cg::node_state::starting}, {"joined", cg::node_state::joined}, {"alone", cg::node_state::alone},
    {"leaving", cg::node_state::leaving},   {"left", cg::node_state::left},     {"banned", cg::node_state::banned},
    {"failed", cg::node_state::failed}};
const std::map<std::string_view, cg::event_kind> subjects = {{"entries", cg::event_kind::entries},
                                                             {"members", cg::event_kind::members},
                                                             {"node", cg::event_kind::node},
                                                             {"all", cg::event_kind::all}};
const std::map<std::string_view, cg::event_kind> kinds = {
    {"entry_changed", cg::event_kind::entry_changed}, {"entry_deleted", cg::event_kind::entry_deleted},
    {"member_joined", cg::event_kind::member_joined}, {"member_left", cg::event_kind::member_left},
    {"member_updated", cg::event_kind::member_updated}, {"member_dead", cg::event_kind::member_dead},
    {"member_banned", cg::event_kind::member_banned}, {"member_unbanned", cg::event_kind::member_unbanned},
    {"topology", cg::event_kind::topology}, {"initial_done", cg::event_kind::initial_done},
    {"closed", cg::event_kind::closed}};

cg::bytes from_hex(std::string_view text) {
    cg::bytes out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<std::uint8_t>(hex(text[i]) << 4 | hex(text[i + 1])));
    return out;
}

cg::value value_of(const words &step, std::size_t kind_at) {
    const std::string &kind = step[kind_at];
    const std::string text(step.or_empty(kind_at + 1));
    if (kind == "bytes") return from_hex(text);
    if (kind.rfind("message:", 0) == 0) return cg::message{kind.substr(8), from_hex(text)};
    if (kind == "text") return text;
    if (kind == "bool") return cg::value(std::in_place_type<bool>, text == "true");
    if (kind == "int") return cg::value(std::in_place_type<std::int64_t>, std::strtoll(text.c_str(), nullptr, 10));
    if (kind == "double") return cg::value(std::in_place_type<double>, std::strtod(text.c_str(), nullptr));
    malformed("an unknown kind of value: " + kind);
}

// ---- steps: nothing is success; GOSSIP_ERR_TIMEOUT is "not yet" ----

using outcome = cg::result<void>;

outcome yes(bool holds) {
    if (holds) return {};
    return cg::error(GOSSIP_ERR_TIMEOUT);
}
outcome yes(const cg::result<bool> &answer) {
    if (!answer) return answer.error();
    return yes(*answer);
}
template <class T>
outcome done(const cg::result<T> &answer) {
    if (!answer) return answer.error();
    return {};
}

outcome open(const words &step) {
    auto config = cg::config::try_create();
    if (!config) return config.error();
    for (std::size_t i = 2; i < step.size(); ++i) {
        const auto split = step[i].find('=');
        std::string value = step[i].substr(split + 1);
        if (!value.empty() && value[0] == '@') value = *node_named(value.substr(1)).try_address();
        if (auto set = config->try_set(step[i].substr(0, split), value); !set) return set;
    }
    auto node = cg::node::try_open(*config);
    if (!node) return node.error();
    nodes.insert_or_assign(step[1], std::move(*node));
    return {};
}

outcome member(const words &step) {
    const auto wanted = named(statuses, step[3]);
    const auto list = node_named(step[1]).try_get_members(cg::members_of::departed_too);
    if (!list) return list.error();
    for (auto m : *list)
        if (m.id() == step[2]) return yes(m.status() == wanted);
    return yes(false);
}

outcome subscribe(const words &step) {
    cg::filter filter(named(subjects, step[3]));
    const auto has = [&](const char *flag) { return step[6].find(flag) != std::string::npos; };
    if (step[4] != "-") filter.member(step[4]);
    if (step[5] != "-") filter.key(step[5], has("prefix") ? cg::filter::prefix : cg::filter::exact);
    filter.initial(has("initial")).no_self(has("no_self"));
    auto queue = cg::queue::try_create();
    if (!queue) return queue.error();
    auto made = node_named(step[1]).try_subscribe(filter, *queue);
    if (!made) return made.error();
    subscriptions.insert_or_assign(step[2], followed{std::move(*queue), std::move(*made)});
    return {};
}

outcome set_same(const words &step) {
    auto &node = node_named(step[1]);
    const auto before = node.try_get_own(step[2]);
    if (!before) return before.error();
    const auto seq = node.try_set(step[2], value_of(step, 3), {milliseconds(0), true});
    if (seq && *seq != (*before)->sequence_number()) malformed("the sequence number changed");
    return done(seq);
}

cg::result<cg::maybe_entry> read(const words &step) {
    const auto &node = node_named(step[1]);
    return step[2] == "own" ? node.try_get_own(step[3]) : node.try_get(step[2], step[3]);
}

outcome get(const words &step) {
    const auto found = read(step);
    if (!found) return found.error();
    return yes(*found && cg::copy((**found).value()) == value_of(step, 4));
}

outcome gone(const words &step) {
    const auto found = read(step);
    if (!found) return found.error();
    return yes(!*found);
}

outcome count(const words &step) {
    const auto found = node_named(step[1]).try_get(step[2]);
    if (!found) return found.error();
    return yes(found->size() == static_cast<std::size_t>(step.number(3)));
}

outcome event(const words &step) {
    const auto events = subscription_named(step[1]).queue.try_take(1, milliseconds(100));
    if (!events) return events.error();
    for (auto e : *events) {
        if (e.kind() != named(kinds, step[2])) continue;
        if (e.kind() == cg::event_kind::topology) {
            if (e.text().size() != 16 || e.text().find_first_not_of("0123456789abcdef") != std::string_view::npos)
                malformed("the hash of a topology is 16 hex digits");
            if (e.code() != step.number(3)) continue;
            return {};
        }
        const auto entry = e.entry();
        const auto m = e.member();
        if (step.size() > 3 && (entry ? entry->member() : m ? m->id() : "") != step[3]) continue;
        if (step.size() > 4 && (!entry || entry->key() != step[4])) continue;
        if (step.size() > 6 && cg::copy(entry->value()) != value_of(step, 5)) continue;
        return {};
    }
    return yes(false);
}

// The list is [{"by":"a","id":"b"},...], and no id of the scenario needs an escape.
outcome bans(const words &step) {
    const auto json = node_named(step[1]).try_bans();
    if (!json) return json.error();
    const auto member_of = [](const std::string &object, const std::string &name) {
        const auto at = object.find('"' + name + "\":\"");
        if (at == std::string::npos) malformed("a ban without " + name);
        const auto from = at + name.size() + 4;
        return object.substr(from, object.find('"', from) - from);
    };
    std::set<std::string> have, wanted;
    for (auto at = json->find('{'); at != std::string::npos; at = json->find('{', at + 1)) {
        const auto object = json->substr(at, json->find('}', at) - at);
        have.insert(member_of(object, "id") + ":" + member_of(object, "by"));
    }
    for (std::size_t i = 2; i < step.size(); ++i) wanted.insert(step[i]);
    return yes(have == wanted);
}

outcome statistic(const words &step) {
    auto &node = node_named(step[1]);
    if (step[3] == "-") return node.try_delete_statistic(step.or_empty(2));
    return node.try_set_statistic(step.or_empty(2), std::strtoll(step[3].c_str(), nullptr, 10));
}

outcome heartbeat(const words &step) {
    const auto beats = node_named(step[1]).try_heartbeats();
    if (!beats) return beats.error();
    const auto of = beats->find(step[2]);
    if (of == beats->end()) return yes(false);
    const auto found = of->second.find(step[3]);
    if (step[4] == "-") return yes(found == of->second.end());
    return yes(found != of->second.end() && found->second == std::strtoll(step[4].c_str(), nullptr, 10));
}

outcome run_step(const words &step) {
    const std::string &verb = step[0];
    if (verb == "open") return open(step);
    if (verb == "wait_members")
        return yes(node_named(step[1]).try_wait_for_members(static_cast<std::size_t>(step.number(2)), milliseconds(100)));
    if (verb == "synced") return yes(node_named(step[1]).try_wait_synced(milliseconds(100)));
    if (verb == "state") {
        const auto state = node_named(step[1]).try_state();
        return state ? yes(*state == named(states, step[2])) : done(state);
    }
    if (verb == "member") return member(step);
    if (verb == "subscribe") return subscribe(step);
    if (verb == "set") return done(node_named(step[1]).try_set(step.or_empty(2), value_of(step, 3)));
    if (verb == "set_same") return set_same(step);
    if (verb == "set_ttl") return done(node_named(step[1]).try_set(step[2], value_of(step, 3), {milliseconds(step.number(5)), false}));
    if (verb == "delete") return node_named(step[1]).try_erase(step[2]);
    if (verb == "get") return get(step);
    if (verb == "gone") return gone(step);
    if (verb == "count") return count(step);
    if (verb == "event") return event(step);
    if (verb == "unsubscribe") return subscription_named(step[1]).subscription.try_unsubscribe();
    if (verb == "reconfigure") return node_named(step[1]).try_reconfigure(step[2], step[3]);
    if (verb == "ban") return node_named(step[1]).try_ban(step.or_empty(2));
    if (verb == "unban") return node_named(step[1]).try_unban(step.or_empty(2));
    if (verb == "bans") return bans(step);
    if (verb == "statistic") return statistic(step);
    if (verb == "heartbeat") return heartbeat(step);
    // That not enough have acknowledged in time is an end too: among those that are asked may be one that was killed before.
    if (verb == "leave") return done(node_named(step[1]).try_leave(cg::forever));
    if (verb == "kill") return node_named(step[1]).try_kill();
    if (verb == "close") return node_named(step[1]).try_close();
    malformed("an unknown step: " + verb);
}

// Does a step, "until" it holds where it is one that waits.
bool run(std::string_view line) {
    const words step(line);
    const bool fails = step[0] == "fails";
    const auto end = steady_clock::now() + patience;
    auto result = run_step(fails ? words(step, 2) : step);
    while (!fails && result.status() == GOSSIP_ERR_TIMEOUT && steady_clock::now() < end) {
        std::this_thread::sleep_for(milliseconds(2));
        result = run_step(step);
    }
    const std::string have = result ? "GOSSIP_OK" : result.error().name(), want = fails ? step[1] : "GOSSIP_OK";
    if (have == want) return true;
    std::printf("# line %d: %s, not %s\n", line_number, result ? "GOSSIP_OK" : result.error().what(), want.c_str());
    return false;
}

}  // namespace

int main(int argc, char **argv) {
    std::ifstream file(argc == 2 ? argv[1] : "");
    if (!file) {
        std::fprintf(stderr, "usage: %s SCENARIO\n", argv[0]);
        return 2;
    }
    int passed = 0, failed = 0;
    for (std::string line; failed == 0 && std::getline(file, line);) {
        ++line_number;
        if (line.empty() || line[0] == '#') continue;
        ++(run(line) ? passed : failed);
        std::printf("%s %s\n", failed ? "FAIL" : "ok  ", line.c_str());
        std::fflush(stdout);
    }
    if (passed == 0) malformed("the scenario is empty");
    subscriptions.clear();
    nodes.clear();
    std::printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
