// Cluster Gossip for C++17: the statistics in members' heartbeats. Part of cluster_gossip.hpp, which is what programs include.
#ifndef CLUSTER_GOSSIP_HEARTBEAT_HPP
#define CLUSTER_GOSSIP_HEARTBEAT_HPP

#include <map>
#include <optional>

#include "cluster_gossip/value.hpp"

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

/// A host's statistics, name to number.
using statistics = std::map<std::string, std::int64_t>;

/// The key of heartbeats, and the type URL of the message under it.
inline constexpr std::string_view heartbeat_key = "cluster:heartbeat";
inline constexpr std::string_view heartbeat_type_url = "type.googleapis.com/cluster.MemberHeartbeat";

namespace detail {

/// As much of protobuf's encoding as a heartbeat needs. After something malformed ok() is false and there is nothing more to read.
class proto_reader {
public:
    explicit proto_reader(bytes_view data) noexcept : data_(data.data()), left_(data.size()) {}

    bool ok() const noexcept { return ok_; }
    /// Begins the next field; false at the end.
    bool next() noexcept {
        if (!ok_ || left_ == 0) return false;
        const auto tag = varint();
        // A field number is not 0, and has 29 bits.
        if (tag >> 3 == 0 || tag >> 32 != 0) fail();
        tag_ = tag;
        return ok_;
    }
    bool is(std::uint32_t field, unsigned wire_type) const noexcept { return tag_ == (std::uint64_t{field} << 3 | wire_type); }
    std::uint64_t varint() noexcept {
        std::uint64_t number = 0;
        for (unsigned shift = 0; shift < 70 && left_ > 0; shift += 7) {
            const auto byte = *data_++;
            --left_;
            if (shift < 64) number |= std::uint64_t{byte & 0x7fu} << shift;
            if (byte < 0x80) return number;
        }
        fail();
        return 0;
    }
    bytes_view part() noexcept {
        const auto size = varint();
        if (size > left_) fail();
        return ok_ ? take(static_cast<std::size_t>(size)) : bytes_view();
    }
    void skip() noexcept {
        switch (tag_ & 7) {
            case 0: varint(); break;
            case 1: fixed(8); break;
            case 2: part(); break;
            case 5: fixed(4); break;
            default: fail();
        }
    }

private:
    bytes_view take(std::size_t size) noexcept {
        const bytes_view taken(data_, size);
        data_ += size;
        left_ -= size;
        return taken;
    }
    void fixed(std::size_t size) noexcept {
        if (left_ < size) fail();
        else take(size);
    }
    void fail() noexcept {
        ok_ = false;
        left_ = 0;
    }

    const std::uint8_t *data_;
    std::size_t left_;
    std::uint64_t tag_ = 0;
    bool ok_ = true;
};

}  // namespace detail

/// Reads the message cluster.MemberHeartbeat, as Proto.Actor writes it too; empty where the bytes are no such message. No protobuf
/// library is needed: a program that uses one may have the same messages registered already.
inline std::optional<statistics> parse_heartbeat(bytes_view encoded) {
    statistics found;
    // MemberHeartbeat { actor_statistics = 1 }, ActorStatistics { actor_count = 1: map<string, int64> }; a map is pairs { 1, 2 }.
    detail::proto_reader beat(encoded);
    while (beat.next()) {
        if (!beat.is(1, 2)) {
            beat.skip();
            continue;
        }
        detail::proto_reader list(beat.part());
        while (list.next()) {
            if (!list.is(1, 2)) {
                list.skip();
                continue;
            }
            detail::proto_reader pair(list.part());
            std::string name;
            std::uint64_t number = 0;
            while (pair.next()) {
                if (pair.is(1, 2)) name = std::string(pair.part().chars());
                else if (pair.is(2, 0)) number = pair.varint();
                else pair.skip();
            }
            if (!pair.ok()) return std::nullopt;
            found.insert_or_assign(std::move(name), static_cast<std::int64_t>(number));
        }
        if (!list.ok()) return std::nullopt;
    }
    if (!beat.ok()) return std::nullopt;
    return found;
}

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
