// Cluster Gossip for C++17: what goes wrong, and how it is told. Part of cluster_gossip.hpp, which is what programs include.
#ifndef CLUSTER_GOSSIP_ERROR_HPP
#define CLUSTER_GOSSIP_ERROR_HPP

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cluster_gossip.h"

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define CLUSTER_GOSSIP_EXCEPTIONS 1
#else
#define CLUSTER_GOSSIP_EXCEPTIONS 0
#endif

// Files compiled with and without exceptions, or linked and loaded, may meet in one program. Their inline functions differ,
// so they get names of their own; without this the linker would keep one of each pair for all.
#if CLUSTER_GOSSIP_EXCEPTIONS && defined(CLUSTER_GOSSIP_DLOPEN)
#define CLUSTER_GOSSIP_FORM throwing_loaded
#elif CLUSTER_GOSSIP_EXCEPTIONS
#define CLUSTER_GOSSIP_FORM throwing_linked
#elif defined(CLUSTER_GOSSIP_DLOPEN)
#define CLUSTER_GOSSIP_FORM plain_loaded
#else
#define CLUSTER_GOSSIP_FORM plain_linked
#endif

#ifdef CLUSTER_GOSSIP_DLOPEN
#include "cluster_gossip/dlopen.hpp"
#endif

namespace cluster_gossip {
inline namespace CLUSTER_GOSSIP_FORM {

namespace detail {

inline const char *status_name(gossip_status status) noexcept {
#ifdef CLUSTER_GOSSIP_DLOPEN
    // Before the library is loaded there is no table, and only the loader can have failed.
    if (gossip_status_name == nullptr) return "GOSSIP_ERR_NOT_SUPPORTED";
#endif
    return gossip_status_name(status);
}

inline const char *status_text(gossip_status status) noexcept {
#ifdef CLUSTER_GOSSIP_DLOPEN
    if (gossip_status_text == nullptr) return "the library is not loaded";
#endif
    return gossip_status_text(status);
}

inline std::string describe(gossip_status status, std::string_view message) {
    std::string text = status_name(status);
    text += ": ";
    text += message.empty() ? std::string_view(status_text(status)) : message;
    return text;
}

}  // namespace detail

/// What a call answers when it fails: a status number of the C interface, its name, and a sentence for people.
/// The throwing forms throw it, the try_ forms carry it in their result.
class error : public std::runtime_error {
public:
    /// Without a message the status's own sentence is taken.
    explicit error(gossip_status status, std::string_view message = {})
        : std::runtime_error(detail::describe(status, message)), status_(status) {}

    /// GOSSIP_ERR_*, never GOSSIP_OK.
    gossip_status status() const noexcept { return status_; }
    /// "GOSSIP_ERR_TIMEOUT"; lives as long as the process.
    const char *name() const noexcept { return detail::status_name(status_); }
    /// The sentence without the name, with particulars where the library gave some; lives as long as this error.
    std::string_view message() const noexcept {
        return std::string_view(what()).substr(std::string_view(name()).size() + 2);
    }
    /// True: the same call may succeed later.
    bool can_retry() const noexcept {
#ifdef CLUSTER_GOSSIP_DLOPEN
        if (gossip_status_can_retry == nullptr) return false;
#endif
        return gossip_status_can_retry(status_) != 0;
    }

private:
    gossip_status status_;
};

/// A T, or the error that came instead.
template <class T>
class [[nodiscard]] result {
public:
    result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    result(cluster_gossip::error error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    /// GOSSIP_OK, or the error's status.
    gossip_status status() const noexcept { return ok() ? GOSSIP_OK : error().status(); }
    /// Only when not ok().
    const cluster_gossip::error &error() const noexcept { return *std::get_if<1>(&content_); }

    /// Only when ok(). Taken out of a temporary result the value is moved out, so that it does not dangle.
    T &operator*() & noexcept { return *std::get_if<0>(&content_); }
    const T &operator*() const & noexcept { return *std::get_if<0>(&content_); }
    T operator*() && { return std::move(*std::get_if<0>(&content_)); }
    T *operator->() noexcept { return std::get_if<0>(&content_); }
    const T *operator->() const noexcept { return std::get_if<0>(&content_); }

#if CLUSTER_GOSSIP_EXCEPTIONS
    /// The value; throws the error where there is none.
    T value() && {
        if (!ok()) throw error();
        return std::move(*std::get_if<0>(&content_));
    }
    const T &value() const & {
        if (!ok()) throw error();
        return *std::get_if<0>(&content_);
    }
#endif

private:
    std::variant<T, cluster_gossip::error> content_;
};

/// Nothing, or the error that came instead.
template <>
class [[nodiscard]] result<void> {
public:
    result() = default;
    result(cluster_gossip::error error) : error_(std::move(error)) {}

    bool ok() const noexcept { return !error_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }
    gossip_status status() const noexcept { return ok() ? GOSSIP_OK : error_->status(); }
    const cluster_gossip::error &error() const noexcept { return *error_; }

#if CLUSTER_GOSSIP_EXCEPTIONS
    void value() const {
        if (error_) throw *error_;
    }
#endif

private:
    std::optional<cluster_gossip::error> error_;
};

/// A row of the library's table of statuses.
struct status_info {
    gossip_status number;
    const char *name;
    const char *text;
    bool can_retry;
};

/// A row of the library's table of settings; the texts live as long as the process.
struct setting_info {
    const char *name;
    const char *type;
    const char *unit;
    const char *default_value;
    const char *bounds;
    const char *text;
    bool live;    ///< may change after open, by node::reconfigure
    bool secret;  ///< never printed, and not given back by node::setting
};

namespace detail {

inline result<void> outcome(gossip_status status, const char *message = "") {
    if (status == GOSSIP_OK) return {};
    return cluster_gossip::error(status, message);
}

/// The library is there and speaks the interface that this header was written for.
inline result<void> ready() {
#ifdef CLUSTER_GOSSIP_DLOPEN
    std::string problem;
    if (!loading::load_once(nullptr, problem)) return cluster_gossip::error(GOSSIP_ERR_NOT_SUPPORTED, problem);
#endif
    const auto found = gossip_abi_version();
    if (found == GOSSIP_ABI_VERSION) return {};
    return cluster_gossip::error(GOSSIP_ERR_NOT_SUPPORTED,
                                 "the library has ABI version " + std::to_string(found) + ", this program was compiled for " +
                                     std::to_string(GOSSIP_ABI_VERSION));
}

/// Ids, setting names and values, type URLs cross the border NUL-terminated: a NUL inside would cut them short unseen.
inline result<std::string> without_nul(std::string_view text, const char *what) {
    if (text.find('\0') != std::string_view::npos)
        return cluster_gossip::error(GOSSIP_ERR_INVALID_ARGUMENT, std::string(what) + " contains a zero byte");
    return std::string(text);
}

}  // namespace detail

/// "0.1.0": of the library that is loaded, not of this header. As every table below it wants the library to be there.
inline std::string_view version() noexcept { return gossip_version(); }
inline std::uint32_t abi_version() noexcept { return gossip_abi_version(); }

/// Every status there is, success included.
inline std::vector<status_info> statuses() {
    std::vector<status_info> all;
    for (std::size_t i = 0; i < gossip_status_count(); ++i) {
        const auto number = gossip_status_at(i);
        all.push_back({number, gossip_status_name(number), gossip_status_text(number), gossip_status_can_retry(number) != 0});
    }
    return all;
}

/// Every setting there is.
inline std::vector<setting_info> settings() {
    std::vector<setting_info> all;
    for (std::size_t i = 0; i < gossip_setting_count(); ++i) {
        const auto flags = gossip_setting_flags(i);
        all.push_back({gossip_setting_name(i), gossip_setting_type(i), gossip_setting_unit(i), gossip_setting_default(i),
                       gossip_setting_bounds(i), gossip_setting_text(i), (flags & GOSSIP_SETTING_LIVE) != 0,
                       (flags & GOSSIP_SETTING_SECRET) != 0});
    }
    return all;
}

}  // namespace CLUSTER_GOSSIP_FORM
}  // namespace cluster_gossip

#endif
