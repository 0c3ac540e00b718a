/* Shows that the tools of the asan and valgrind modes are there and find faults: without this a build that lost its flags
 * would pass everything. With --leak or --invalid-read it commits that fault, which valgrind must tell by its exit status. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* What the child prints goes to the pipe; it must not get to its end. */
static void is_stopped(void (*fault)(void), const char *word) {
    int out[2], status = 0;
    char text[4096];
    size_t got = 0;
    ssize_t n;
    pid_t pid;
    CHECK_EQ(pipe(out), 0);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(out[1], 2);
        close(out[0]);
        fault();
        exit(0);
    }
    close(out[1]);
    while (got < sizeof text - 1 && (n = read(out[0], text + got, sizeof text - 1 - got)) > 0) got += (size_t)n;
    text[got] = '\0';
    close(out[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    CHECK(strstr(text, word) != NULL);
}

static void read_past_the_end(void) {
    /* Volatile, so that the optimizer cannot see and remove it. */
    volatile size_t past = 8;
    char *volatile block = calloc(8, 1);
    volatile char byte = block[past];
    (void)byte;
    free(block);
}

static void leak(void) {
    char *volatile block = malloc(1000);
    memset(block, 1, 1000);
    block = NULL;
}

static void overflow(void) {
    volatile int big = INT32_MAX;
    volatile int bigger = big + 1;
    (void)bigger;
}

TEST(address_sanitizer_stops_a_read_past_the_end) { is_stopped(read_past_the_end, "AddressSanitizer: heap-buffer-overflow"); }
TEST(undefined_behaviour_sanitizer_stops_an_overflow) { is_stopped(overflow, "signed integer overflow"); }

/* More than one, so that no register still holds the address. */
static void leak_much(void) {
    int i;
    for (i = 0; i < 10; ++i) leak();
}
TEST(leak_sanitizer_reports_a_leak) { is_stopped(leak_much, "LeakSanitizer: detected memory leaks"); }

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--leak") == 0) {
        leak_much();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--invalid-read") == 0) {
        read_past_the_end();
        return 0;
    }
    RUN(address_sanitizer_stops_a_read_past_the_end);
    RUN(undefined_behaviour_sanitizer_stops_an_overflow);
    RUN(leak_sanitizer_reports_a_leak);
    return check_end();
}
