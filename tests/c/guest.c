/* A library in somebody else's process: fork, signals, output, and what stays behind. */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

static const char *program; /* this program's path, to run it again */

/* ---- what a process has ---- */

static int count_in(const char *directory) {
    DIR *dir = opendir(directory);
    int count = 0;
    if (dir == NULL) return -1;
    while (readdir(dir) != NULL) ++count;
    closedir(dir);
    return count;
}

static int threads(void) { return count_in("/proc/self/task"); }
static int descriptors(void) { return count_in("/proc/self/fd"); }

static long resident_kb(void) {
    char line[256];
    long kb = -1;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return -1;
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1) break;
    fclose(status);
    return kb;
}

/* A mask of signals of one thread: bit n-1 is signal n. */
static int mask_of(const char *task, const char *which, uint64_t *out) {
    char path[300], line[256], format[32];
    int found = 0;
    FILE *status;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    snprintf(format, sizeof format, "%s: %%%s", which, SCNx64);
    status = fopen(path, "r");
    if (status == NULL) return 0;
    while (!found && fgets(line, sizeof line, status) != NULL) found = sscanf(line, format, out) == 1;
    fclose(status);
    return found;
}

static uint64_t bit(int signal) { return (uint64_t)1 << (signal - 1); }

/* ---- signals ---- */

/* What is wrong with a thread of the library, or NULL. One that has just ended has nothing to show. */
typedef const char *(*thread_check)(const char *task);

static char thread_problem[400];

/* The first problem with any thread but this one; NULL where there is none, or no thread. */
static const char *any_thread(thread_check check) {
    struct dirent *task;
    char self[32];
    int others = 0;
    const char *problem = NULL;
    DIR *dir = opendir("/proc/self/task");
    if (dir == NULL) return "no /proc/self/task";
    snprintf(self, sizeof self, "%ld", (long)getpid());
    while (problem == NULL && (task = readdir(dir)) != NULL) {
        if (task->d_name[0] == '.' || strcmp(task->d_name, self) == 0) continue;
        ++others;
        problem = check(task->d_name);
    }
    closedir(dir);
    return others == 0 ? "there is no thread of the library" : problem;
}

/* A thread that is just being made has neither its name nor its mask yet: the C library starts it with every signal
 * blocked. So a problem is one that stays. */
static void all_threads(thread_check check) {
    const char *problem = NULL;
    if (UNTIL((problem = any_thread(check)) == NULL)) return;
    check_fail(__FILE__, __LINE__, "every thread of the library is as it should be");
    printf("#    %s\n", problem);
}

static uint64_t must_be_blocked(void) {
    const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,  SIGVTALRM,
                           SIGCHLD, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH, SIGIO};
    uint64_t mask = 0;
    size_t i;
    for (i = 0; i < sizeof signals / sizeof *signals; ++i) mask |= bit(signals[i]);
    return mask;
}

/* The ordinary asynchronous signals are blocked, so that they come to the host's threads. Real-time and other ones, which
 * runtimes stop threads with, are not, and neither are those that a fault raises. */
static const char *blocks_the_right_signals(const char *task) {
    uint64_t mask = 0;
    if (!mask_of(task, "SigBlk", &mask) || mask == must_be_blocked()) return NULL;
    snprintf(thread_problem, sizeof thread_problem, "thread %.20s blocks %016" PRIx64 ", not %016" PRIx64, task, mask, must_be_blocked());
    return thread_problem;
}

static const char *has_a_name(const char *task) {
    char path[300], name[64] = "";
    FILE *comm;
    int read;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", task);
    comm = fopen(path, "r");
    if (comm == NULL) return NULL;
    read = fgets(name, sizeof name, comm) != NULL;
    fclose(comm);
    if (!read || strncmp(name, "gossip", 6) == 0) return NULL;
    snprintf(thread_problem, sizeof thread_problem, "thread %.20s is called %s", task, name);
    return thread_problem;
}

TEST(library_threads_block_the_ordinary_asynchronous_signals_only) {
    char self[32];
    uint64_t own = 0, caught_before = 0, caught = 0, ignored_before = 0, ignored = 0;
    gossip_node node;
    snprintf(self, sizeof self, "%ld", (long)getpid());
    if (!mask_of(self, "SigBlk", &own)) SKIP("no /proc/self/task");
    CHECK(mask_of(self, "SigCgt", &caught_before) && mask_of(self, "SigIgn", &ignored_before));
    CHECK_EQ(own & must_be_blocked(), 0);
    node = open_node("guest", NULL, NULL);
    CHECK_STILL();
    all_threads(blocks_the_right_signals);
    CHECK_STILL();
    /* The caller's own thread is as it was, and no handler was installed or taken away. */
    CHECK(mask_of(self, "SigCgt", &caught) && mask_of(self, "SigIgn", &ignored));
    CHECK_EQ(caught, caught_before);
    CHECK_EQ(ignored, ignored_before);
    CHECK(mask_of(self, "SigBlk", &caught));
    CHECK_EQ(caught, own);
    CHECK_OK(gossip_close(node));
}

TEST(library_threads_have_names) {
    gossip_node node;
    if (threads() < 0) SKIP("no /proc/self/task");
    node = open_node("guest", NULL, NULL);
    CHECK_STILL();
    all_threads(has_a_name);
    CHECK_OK(gossip_close(node));
}

/* ---- descriptors ---- */

/* Run first: what the first node of a process leaves behind, later counts do not show. */
TEST(the_first_node_leaves_no_descriptor_behind) {
    const int before = descriptors();
    gossip_node node;
    if (before < 0) SKIP("no /proc/self/fd");
    node = open_node("guest", NULL, NULL);
    CHECK_STILL();
    CHECK(descriptors() > before);
    CHECK_OK(gossip_close(node));
    CHECK(UNTIL(descriptors() == before));
}

/* With every number of free descriptors: the node is open, or it says what is used up and keeps none. */
TEST(without_descriptors_a_node_says_so_and_leaves_none_behind) {
    const int before = descriptors();
    struct rlimit full, few;
    int used, refused = 0, opened = 0;
    if (before < 0) SKIP("no /proc/self/fd");
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &full), 0);
    /* Less ".", ".." and the one that counting takes. */
    for (used = before - 3; opened == 0 && used < before + 100; ++used) {
        char message[GOSSIP_ERRBUF];
        gossip_node node = {0};
        gossip_status status;
        few = full;
        few.rlim_cur = (rlim_t)used;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
        status = gossip_open_text("cluster=guest\nbind=127.0.0.1:0", &node, message, sizeof message);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &full), 0);
        if (status == GOSSIP_OK) {
            ++opened;
            CHECK_OK(gossip_close(node));
        } else {
            ++refused;
            CHECK_STATUS(status, GOSSIP_ERR_NO_RESOURCES);
            CHECK(message[0] != '\0');
        }
        CHECK(UNTIL(descriptors() == before));
    }
    CHECK(refused > 0);
    CHECK_EQ(opened, 1);
}

/* ---- fork ---- */

/* In the child. Says by its exit status which step failed; 0 is none. */
static int child(gossip_node node, gossip_queue queue, gossip_sub sub, gossip_config config) {
    gossip_node own;
    gossip_queue own_queue = {0};
    gossip_sub own_sub = {0};
    gossip_events *events = NULL;
    all_answer(config_calls, config.id, GOSSIP_ERR_FORKED, GOSSIP_ERR_FORKED);
    all_answer(node_calls, node.id, GOSSIP_ERR_FORKED, GOSSIP_ERR_FORKED);
    all_answer(queue_calls, queue.id, GOSSIP_ERR_FORKED, GOSSIP_ERR_FORKED);
    all_answer(sub_calls, sub.id, GOSSIP_ERR_FORKED, GOSSIP_ERR_FORKED);
    if (check_bad) return 1;
    /* What was read before is the child's own copy. */
    own = open_node("guest-child", "child", NULL);
    if (check_bad) return 2;
    if (gossip_queue_new(0, &own_queue) != GOSSIP_OK) return 3;
    if (gossip_subscribe_queue(own, GOSSIP_EVENTS_ENTRIES, NULL, "k", 1, 0, own_queue, 0, &own_sub) != GOSSIP_OK) return 4;
    if (set_text(own, "k", "of the child") != GOSSIP_OK) return 5;
    if (gossip_queue_take(own_queue, 1, PATIENCE_MS, &events) != GOSSIP_OK) return 6;
    gossip_events_free(events);
    if (!reads_text(own, "child", "k", "of the child")) return 7;
    all_answer(node_calls, node.id, GOSSIP_ERR_FORKED, GOSSIP_ERR_FORKED);
    if (gossip_close(own) != GOSSIP_OK || gossip_queue_free(own_queue) != GOSSIP_OK) return 8;
    return check_bad ? 9 : 0;
}

/* Waits for a process that PATIENCE_MS may end, and gives its exit status; negative: the signal that killed it. */
static int ended(pid_t pid) {
    const int64_t end = check_now_ms() + PATIENCE_MS;
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (check_now_ms() > end) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -SIGKILL;
        }
        check_pause();
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(a_forked_child_is_told_so_and_may_open_nodes_of_its_own) {
    gossip_config config = {0};
    gossip_queue queue = {0};
    gossip_sub sub = {0};
    gossip_events *events = NULL;
    pid_t pid;
    const gossip_node node = open_node("guest", "parent", NULL);
    CHECK_STILL();
    CHECK_OK(gossip_config_new(&config));
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_subscribe_queue(node, GOSSIP_EVENTS_ENTRIES, NULL, "k", 1, 0, queue, 0, &sub));
    CHECK_OK(set_text(node, "k", "before"));
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) check_leave_child(child(node, queue, sub, config));
    CHECK_EQ(ended(pid), 0);
    /* The parent has lost nothing: not its sockets, not its events. */
    CHECK_OK(set_text(node, "k", "after"));
    CHECK_OK(gossip_queue_take(queue, 10, PATIENCE_MS, &events));
    CHECK(gossip_events_len(events) >= 1);
    gossip_events_free(events);
    CHECK(reads_text(node, "parent", "k", "after"));
    CHECK_OK(gossip_unsubscribe(sub));
    CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
    CHECK_OK(gossip_config_free(config));
}

TEST(a_child_that_never_calls_the_library_exits_clean) {
    const gossip_node node = open_node("guest", NULL, NULL);
    pid_t pid;
    CHECK_STILL();
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) check_leave_child(0);
    CHECK_EQ(ended(pid), 0);
    CHECK_OK(gossip_close(node));
}

TEST(a_parent_and_its_child_are_two_members) {
    char seed[128];
    int go[2];
    pid_t pid;
    const gossip_node node = open_node("guest", "parent", NULL);
    CHECK_STILL();
    address_of(node, seed, sizeof seed);
    CHECK_EQ(pipe(go), 0);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        gossip_node own;
        char byte;
        close(go[1]);
        own = open_node("guest", "child", seed);
        if (check_bad || set_text(own, "k", "of the child") != GOSSIP_OK) check_leave_child(1);
        /* The parent has read it when the pipe ends. */
        while (read(go[0], &byte, 1) < 0 && errno == EINTR) {
        }
        check_leave_child(gossip_close(own) == GOSSIP_OK ? 0 : 2);
    }
    close(go[0]);
    CHECK(UNTIL(reads_text(node, "child", "k", "of the child")));
    close(go[1]);
    CHECK_EQ(ended(pid), 0);
    CHECK_OK(gossip_close(node));
}

/* ---- output, and ends ---- */

/* Run again by the tests below as another process: uses and misuses the library, and says nothing. */
static int quiet(const char *how) {
    char seed[128];
    gossip_node a, b = {0}, wrong;
    gossip_queue queue = {0};
    gossip_sub sub = {0};
    a = open_node("guest", "a", NULL);
    address_of(a, seed, sizeof seed);
    b = open_node("guest", "b", seed);
    wrong = open_node("another", "c", seed);
    if (check_bad) return 10;
    if (gossip_queue_new(0, &queue) != GOSSIP_OK) return 11;
    if (gossip_subscribe_queue(a, GOSSIP_EVENTS_ALL, NULL, NULL, 0, GOSSIP_SUB_INITIAL, queue, 0, &sub) != GOSSIP_OK) return 12;
    if (gossip_subscribe(b, GOSSIP_EVENTS_ALL, NULL, NULL, 0, GOSSIP_SUB_INITIAL, never_called, NULL, NULL, &sub) != GOSSIP_OK) return 13;
    if (set_text(b, "k", "v") != GOSSIP_OK || !UNTIL(reads_text(a, "b", "k", "v"))) return 14;
    if (gossip_set_int(a, "cluster:x", GOSSIP_NUL, 1, NULL, 0) != GOSSIP_ERR_RESERVED_KEY) return 15;
    if (gossip_state((gossip_node){12345}, NULL) == GOSSIP_OK) return 16;
    if (strcmp(how, "close") == 0) {
        if (gossip_close(wrong) != GOSSIP_OK || gossip_close(b) != GOSSIP_OK || gossip_close(a) != GOSSIP_OK) return 17;
        if (gossip_close(a) != GOSSIP_ERR_CLOSED || gossip_queue_free(queue) != GOSSIP_OK) return 18;
    }
    /* "open": the process ends with nodes, threads and subscriptions alive. */
    return 0;
}

/* Runs quiet() in another process and checks its exit status, stdout and stderr. */
static void run_quiet(const char *how) {
    int out[2];
    char text[400];
    size_t got = 0;
    ssize_t n;
    pid_t pid;
    CHECK_EQ(pipe(out), 0);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        close(out[1]);
        execl(program, program, "--quiet", how, (char *)NULL);
        _exit(99);
    }
    close(out[1]);
    while (got < sizeof text - 1 && ((n = read(out[0], text + got, sizeof text - 1 - got)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) got += (size_t)n;
    text[got] = '\0';
    CHECK_EQ(ended(pid), 0);
    close(out[0]);
    CHECK_TEXT(text, "");
}

TEST(nothing_is_printed) { run_quiet("close"); }

TEST(exit_without_close_is_clean) {
    int i;
    const int times = (int)check_scaled(20);
    for (i = 0; i < times || i < 1; ++i) {
        run_quiet("open");
        CHECK_STILL();
    }
}

/* ---- what stays behind ---- */

static void open_and_close(int i) {
    const gossip_node node = open_node("guest", NULL, NULL);
    gossip_queue queue = {0};
    gossip_sub sub = {0};
    CHECK_STILL();
    CHECK_OK(gossip_queue_new(0, &queue));
    CHECK_OK(gossip_subscribe_queue(node, GOSSIP_EVENTS_ALL, NULL, NULL, 0, 0, queue, 0, &sub));
    CHECK_OK(set_text(node, "k", "v"));
    if (i % 2) CHECK_OK(gossip_close(node));
    CHECK_OK(gossip_queue_free(queue));
    if (i % 2 == 0) CHECK_OK(gossip_close(node));
}

TEST(a_thousand_opens_and_closes_leave_nothing_behind) {
    int i, threads_before, descriptors_before;
    long memory;
    const int times = (int)check_scaled(1000);
    threads_before = threads();
    if (threads_before < 0) SKIP("no /proc/self/task");
    descriptors_before = descriptors();
    /* The first ones fill what allocators and tables keep for the next. */
    for (i = 0; i < times / 5; ++i) {
        open_and_close(i);
        CHECK_STILL();
    }
    memory = resident_kb();
    for (i = 0; i < times; ++i) {
        open_and_close(i);
        CHECK_STILL();
    }
    CHECK(UNTIL(threads() == threads_before));
    CHECK(UNTIL(descriptors() == descriptors_before));
    /* 4 MiB in 1,000 is 4 kB each, less than the smallest thing that a node holds; the tools keep what is freed. */
    if (check_mode_is("plain")) {
        const long grown = resident_kb() - memory;
        if (grown >= 4096) printf("#    grown by %ld kB\n", grown);
        CHECK(grown < 4096);
    }
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--quiet") == 0) return quiet(argv[2]);
    RUN(the_first_node_leaves_no_descriptor_behind);
    /* valgrind opens descriptors beyond a limit that was set meanwhile. */
    if (!check_mode_is("valgrind")) RUN(without_descriptors_a_node_says_so_and_leaves_none_behind);
    RUN(library_threads_have_names);
    /* valgrind runs threads under masks of its own. */
    if (!check_mode_is("valgrind")) RUN(library_threads_block_the_ordinary_asynchronous_signals_only);
    if (check_child_may_allocate()) RUN(a_forked_child_is_told_so_and_may_open_nodes_of_its_own);
    RUN(a_child_that_never_calls_the_library_exits_clean);
    if (check_child_may_allocate()) RUN(a_parent_and_its_child_are_two_members);
    RUN(nothing_is_printed);
    RUN(exit_without_close_is_clean);
    RUN(a_thousand_opens_and_closes_leave_nothing_behind);
    return check_end();
}
