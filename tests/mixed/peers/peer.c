/* A member of the mixed cluster in C, through the C API, told what to do by lines on its standard input (../README.md). */
#define _POSIX_C_SOURCE 200809L
#include <cluster_gossip.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gossip_node node;
static char errbuf[GOSSIP_ERRBUF];

static void die(const char *what, gossip_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, gossip_status_name(status), errbuf);
    exit(1);
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    if (!at) {
        fprintf(stderr, "not a hexadecimal digit: %c\n", c);
        exit(1);
    }
    return (int)(at - digits);
}

/* Decodes %xx in place; "-" is the empty text. */
static size_t unescape(char *word)
{
    size_t n = 0;
    if (strcmp(word, "-") == 0)
        return 0;
    for (const char *p = word; *p; p++) {
        if (*p == '%') {
            word[n++] = (char)(hex(p[1]) * 16 + hex(p[2]));
            p += 2;
        } else {
            word[n++] = *p;
        }
    }
    return n;
}

/* Decodes hexadecimal in place; "-" is none. */
static size_t unhex(char *word)
{
    size_t n = 0;
    if (strcmp(word, "-") == 0)
        return 0;
    for (const char *p = word; *p; p += 2)
        word[n++] = (char)(hex(p[0]) * 16 + hex(p[1]));
    return n;
}

static void print_escaped(const char *text, size_t len)
{
    if (len == 0)
        putchar('-');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            putchar(c);
        else
            printf("%%%02x", c);
    }
}

static void print_hex(const uint8_t *data, size_t len)
{
    if (len == 0)
        putchar('-');
    for (size_t i = 0; i < len; i++)
        printf("%02x", data[i]);
}

static void answer(gossip_status status)
{
    if (status == GOSSIP_OK)
        puts("ok");
    else
        printf("error %s\n", gossip_status_name(status));
}

static gossip_status set(char *key, const char *kind, char *value)
{
    size_t len = unescape(key);
    if (strcmp(kind, "text") == 0) {
        size_t n = unescape(value);
        return gossip_set_text(node, key, len, value, n, errbuf, sizeof errbuf);
    }
    if (strcmp(kind, "bool") == 0)
        return gossip_set_bool(node, key, len, strcmp(value, "true") == 0, errbuf, sizeof errbuf);
    if (strcmp(kind, "int") == 0)
        return gossip_set_int(node, key, len, (int64_t)strtoll(value, NULL, 10), errbuf, sizeof errbuf);
    if (strcmp(kind, "double") == 0)
        return gossip_set_double(node, key, len, strtod(value, NULL), errbuf, sizeof errbuf);
    if (strcmp(kind, "bytes") == 0) {
        size_t n = unhex(value);
        return gossip_set(node, key, len, "", value, n, errbuf, sizeof errbuf);
    }
    fprintf(stderr, "no such kind: %s\n", kind);
    exit(1);
}

static void print_value(const gossip_entry *entry)
{
    size_t len = 0;
    int32_t flag = 0;
    int64_t integer = 0;
    double number = 0;
    switch (gossip_entry_value_kind(entry)) {
    case GOSSIP_VALUE_BYTES: {
        const uint8_t *data = gossip_entry_value(entry, &len);
        printf("bytes ");
        print_hex(data, len);
        break;
    }
    case GOSSIP_VALUE_TEXT: {
        const char *text = gossip_entry_text(entry, &len);
        printf("text ");
        print_escaped(text, len);
        break;
    }
    case GOSSIP_VALUE_BOOL:
        if (gossip_entry_bool(entry, &flag) == GOSSIP_OK)
            printf("bool %s", flag ? "true" : "false");
        break;
    case GOSSIP_VALUE_INT:
        if (gossip_entry_int(entry, &integer) == GOSSIP_OK)
            printf("int %" PRId64, integer);
        break;
    case GOSSIP_VALUE_DOUBLE:
        if (gossip_entry_double(entry, &number) == GOSSIP_OK)
            printf("double %.17g", number);
        break;
    default:
        printf("other %s", gossip_entry_type_url(entry, NULL));
        break;
    }
    putchar('\n');
}

static void get(char *member, char *key)
{
    gossip_entries *entries = NULL;
    size_t len = unescape(key);
    member[unescape(member)] = '\0';
    gossip_status status = gossip_get(node, member, key, len, 0, &entries);
    if (status != GOSSIP_OK)
        answer(status);
    else if (gossip_entries_len(entries) == 0)
        puts("none");
    else
        print_value(gossip_entries_at(entries, 0));
    gossip_entries_free(entries);
}

static void members(void)
{
    gossip_members *list = NULL;
    gossip_status status = gossip_members_get(node, 0, &list);
    if (status != GOSSIP_OK)
        die("gossip_members_get", status);
    printf("members %zu\n", gossip_members_len(list));
    gossip_members_free(list);
}

static void open_node(int argc, char **argv)
{
    const char *id = "", *cluster = "", *seeds = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--id") == 0)
            id = argv[i + 1];
        else if (strcmp(argv[i], "--cluster") == 0)
            cluster = argv[i + 1];
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = argv[i + 1];
    }
    char settings[1024];
    snprintf(settings, sizeof settings, "id=%s\ncluster=%s\nseeds=%s\nbind=127.0.0.1:0\n", id, cluster, seeds);
    gossip_status status = gossip_open_text(settings, &node, errbuf, sizeof errbuf);
    if (status != GOSSIP_OK)
        die("gossip_open_text", status);

    gossip_members *self = NULL;
    status = gossip_self(node, &self);
    if (status != GOSSIP_OK)
        die("gossip_self", status);
    printf("ready %s\n", gossip_member_address(gossip_members_at(self, 0), NULL));
    gossip_members_free(self);
}

int main(int argc, char **argv)
{
    /* The driver reads a line at a time, through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_node(argc, argv);

    char *line = NULL;
    size_t cap = 0;
    ssize_t got;
    int quit = 0;
    while (!quit && (got = getline(&line, &cap, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *save = NULL;
        char *command = strtok_r(line, " ", &save);
        char *first = strtok_r(NULL, " ", &save);
        char *second = strtok_r(NULL, " ", &save);
        char *third = strtok_r(NULL, " ", &save);
        if (command && strcmp(command, "set") == 0 && third) {
            answer(set(first, second, third));
        } else if (command && strcmp(command, "get") == 0 && second) {
            get(first, second);
        } else if (command && strcmp(command, "delete") == 0 && first) {
            size_t len = unescape(first);
            answer(gossip_delete(node, first, len));
        } else if (command && strcmp(command, "members") == 0) {
            members();
        } else if (command && strcmp(command, "quit") == 0) {
            quit = 1;
        } else {
            fprintf(stderr, "not understood: %s\n", command ? command : "");
            return 1;
        }
    }
    free(line);
    gossip_leave(node, 1000);
    gossip_status status = gossip_close(node);
    if (status != GOSSIP_OK)
        die("gossip_close", status);
    if (quit)
        puts("bye");
    return 0;
}
