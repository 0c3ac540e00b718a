// The C++ program of the mixed-language demo: says hello, counts, and follows the others through a lambda.
//
// Each program of the demo, in whatever language, sets two keys: `demo:greeting` (a text) once, and `demo:counter` (an
// integer) four times a second. Its exit status is 0 if it saw the greeting and a changing counter of as many members as
// --expect says, itself included.

#include <cluster_gossip.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

#include <signal.h>

namespace cg = cluster_gossip;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

struct options {
    std::string language = "C++";
    std::string seeds;
    std::string print_address;
    double seconds = 15;
    std::size_t expect = 1;

    options(int argc, char **argv) {
        for (int i = 1; i < argc; i += 2) {
            const std::string name = argv[i];
            if (i + 1 == argc) throw std::invalid_argument(name + " wants a value");
            const std::string value = argv[i + 1];
            if (name == "--language") language = value;
            else if (name == "--seeds") seeds = value;
            else if (name == "--print-address") print_address = value;
            else if (name == "--seconds") seconds = std::stod(value);
            else if (name == "--expect") expect = std::stoul(value);
            else throw std::invalid_argument("unknown option " + name);
        }
    }
};

// What was seen of the members: filled on the node's thread, read by the main thread.
class audience {
public:
    void note(const cg::event &event) {
        const auto entry = event.entry();
        if (event.kind() != cg::event_kind::entry_changed || !entry) return;
        const std::lock_guard<std::mutex> guard(lock_);
        // The event's texts end with this call: the map keeps copies.
        auto &member = members_[std::string(entry->member())];
        if (entry->key() == "demo:greeting" && entry->text()) member.greeted = true;
        if (entry->key() == "demo:counter" && entry->integer()) {
            member.counter_changed = member.counter_changed || (member.counter && member.counter != entry->integer());
            member.counter = entry->integer();
        }
    }

    std::size_t whole() const {
        const std::lock_guard<std::mutex> guard(lock_);
        return static_cast<std::size_t>(std::count_if(members_.begin(), members_.end(), [](const auto &member) {
            return member.second.greeted && member.second.counter_changed;
        }));
    }

private:
    struct member {
        bool greeted = false;
        bool counter_changed = false;
        std::optional<std::int64_t> counter;
    };

    mutable std::mutex lock_;
    std::map<std::string, member> members_;
};

// SIGINT and SIGTERM, blocked and waited for, so that they end the demo at a place of its choice.
class ending {
public:
    ending() {
        sigemptyset(&signals_);
        sigaddset(&signals_, SIGINT);
        sigaddset(&signals_, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    }

    // True where one came before that time.
    bool comes_until(steady_clock::time_point time) const {
        const auto wait = std::max<std::chrono::nanoseconds>(time - steady_clock::now(), 0ns);
        timespec limit{};
        limit.tv_sec = static_cast<time_t>(wait / 1s);
        limit.tv_nsec = static_cast<long>((wait % 1s).count());
        return sigtimedwait(&signals_, nullptr, &limit) >= 0;
    }

private:
    sigset_t signals_;
};

// Whoever waits for the file finds all of the text or no file.
void write_atomically(const std::string &path, const std::string &text) {
    const std::string temporary = path + ".tmp";
    std::ofstream(temporary) << text << '\n';
    if (std::rename(temporary.c_str(), path.c_str()) != 0) throw std::runtime_error("cannot write " + path);
}

bool run(const options &options) {
    // Before the node: threads inherit the mask.
    const ending ending;
    // Before the node too, so that it outlives the callback that fills it.
    audience seen;

    auto node = cg::node::open(
        {{"cluster", "demo"}, {"bind", "127.0.0.1:0"}, {"tags", "language=" + options.language}, {"seeds", options.seeds}});
    const auto following = node.subscribe(
        cg::filter(cg::event_kind::entries).key("demo:", cg::filter::prefix).initial(),
        [&seen](const cg::event &event) { seen.note(event); },
        [](std::exception_ptr) { std::cerr << "demo: a change could not be noted" << std::endl; });
    node.set("demo:greeting", "Hello from " + options.language);
    if (!options.print_address.empty()) write_atomically(options.print_address, node.address());

    const auto begin = steady_clock::now();
    const auto end = begin + std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(options.seconds));
    std::int64_t counter = 0;
    auto next = begin;
    do {
        node.set("demo:counter", ++counter);
        next += 250ms;
    } while (!ending.comes_until(next) && next < end);

    // Leaves, so that the others need not find out.
    node.close();
    std::cout << "saw the greeting and the counter of " << seen.whole() << " of " << options.expect << " members" << std::endl;
    return seen.whole() >= options.expect;
}

}  // namespace

int main(int argc, char **argv) try {
    return run(options(argc, argv)) ? 0 : 1;
} catch (const std::exception &error) {
    std::cerr << "demo: " << error.what() << std::endl;
    return 1;
}
