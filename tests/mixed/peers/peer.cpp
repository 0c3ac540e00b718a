// A member of the mixed cluster in C++, through cluster_gossip.hpp, told what to do by lines on its standard input (../README.md).
#include <cluster_gossip.hpp>

#include <cctype>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cg = cluster_gossip;

static unsigned char byte(const std::string &digits)
{
    return static_cast<unsigned char>(std::stoi(digits, nullptr, 16));
}

static std::string unescape(const std::string &word)
{
    std::string text;
    if (word == "-")
        return text;
    for (std::size_t i = 0; i < word.size(); i++) {
        if (word[i] == '%') {
            text += static_cast<char>(byte(word.substr(i + 1, 2)));
            i += 2;
        } else {
            text += word[i];
        }
    }
    return text;
}

static std::string escape(std::string_view text)
{
    std::ostringstream out;
    out << std::hex << std::setfill('0');
    for (unsigned char c : text) {
        if (c < 128 && std::isalnum(c))
            out << c;
        else
            out << '%' << std::setw(2) << static_cast<int>(c);
    }
    return text.empty() ? "-" : out.str();
}

static cg::bytes unhex(const std::string &word)
{
    cg::bytes data;
    for (std::size_t i = 0; word != "-" && i < word.size(); i += 2)
        data.push_back(byte(word.substr(i, 2)));
    return data;
}

static std::string hex(cg::bytes_view data)
{
    std::ostringstream out;
    out << std::hex << std::setfill('0');
    for (unsigned char c : data)
        out << std::setw(2) << static_cast<int>(c);
    return data.empty() ? "-" : out.str();
}

/// Prints each alternative of a value in the protocol's form.
struct printer {
    void operator()(std::monostate) const { std::cout << "other"; }
    void operator()(cg::bytes_view v) const { std::cout << "bytes " << hex(v); }
    void operator()(std::string_view v) const { std::cout << "text " << escape(v); }
    void operator()(bool v) const { std::cout << "bool " << (v ? "true" : "false"); }
    void operator()(std::int64_t v) const { std::cout << "int " << v; }
    void operator()(double v) const
    {
        std::cout << "double " << std::setprecision(std::numeric_limits<double>::max_digits10) << v;
    }
    void operator()(cg::message_view v) const { std::cout << "other " << v.type_url; }
};

static void set(cg::node &node, const std::string &key, const std::string &kind, const std::string &word)
{
    if (kind == "text")
        node.set(key, unescape(word));
    else if (kind == "bool")
        node.set(key, word == "true");
    else if (kind == "int")
        node.set(key, static_cast<std::int64_t>(std::stoll(word)));
    else if (kind == "double")
        // Not stod, which refuses the numbers near zero that have fewer digits.
        node.set(key, std::strtod(word.c_str(), nullptr));
    else if (kind == "bytes")
        node.set(key, unhex(word));
    else
        throw std::invalid_argument("no such kind: " + kind);
}

static void answer(cg::node &node, const std::string &command, std::istringstream &words)
{
    std::string first, second, third;
    words >> first >> second >> third;
    if (command == "set") {
        set(node, unescape(first), second, third);
        std::cout << "ok";
    } else if (command == "get") {
        if (auto entry = node.get(unescape(first), unescape(second)))
            std::visit(printer{}, entry->value());
        else
            std::cout << "none";
    } else if (command == "delete") {
        node.erase(unescape(first));
        std::cout << "ok";
    } else if (command == "members") {
        std::cout << "members " << node.get_members().size();
    } else {
        throw std::invalid_argument("not understood: " + command);
    }
}

int main(int argc, char **argv)
try {
    std::map<std::string, std::string> options;
    for (int i = 1; i + 1 < argc; i += 2)
        options[argv[i]] = argv[i + 1];
    auto node = cg::node::open({{"id", options["--id"]},
                                {"cluster", options["--cluster"]},
                                {"seeds", options["--seeds"]},
                                {"bind", "127.0.0.1:0"}});
    std::cout << "ready " << node.address() << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "quit") {
            node.close();
            std::cout << "bye" << std::endl;
            return 0;
        }
        try {
            answer(node, command, words);
        } catch (const cg::error &error) {
            std::cout << "error " << error.name();
        }
        std::cout << std::endl;
    }
    node.close();
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
