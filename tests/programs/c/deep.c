/* Computes for a fixed number of rounds, 20 calls deep, on so many threads at a time: what a profiler costs a program.
 *
 * Usage: deep THREADS ROUNDS FILE. Writes into the file: seconds that passed, CPU seconds of the threads, and CPU seconds
 * of the process that has started this one, all from the first round to the last. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static long rounds;
static volatile uint64_t sink;

static double wall_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static double own_cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* By the kernel's account of the parent's first thread, nanoseconds; 0 where there is none. */
static double parents_cpu_s(void) {
    char path[64];
    unsigned long long run_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", getppid());
    FILE *account = fopen(path, "r");
    if (account) {
        if (fscanf(account, "%llu", &run_ns) != 1) run_ns = 0;
        fclose(account);
    }
    return run_ns * 1e-9;
}

__attribute__((noinline)) static uint64_t deeper(int depth, uint64_t state) {
    if (depth == 0) {
        for (int step = 0; step < 20000; step++) state = state * 6364136223846793005u + 1442695040888963407u;
        return state;
    }
    return deeper(depth - 1, state) + depth;
}

static void *work(void *unused) {
    for (long round = 0; round < rounds; round++) sink += deeper(20, round);
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int threads = atoi(argv[1]);
    rounds = atol(argv[2]);
    pthread_t ids[64];
    if (threads < 1 || threads > 64) return 2;
    double before[] = {wall_s(), own_cpu_s(), parents_cpu_s()};
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, NULL);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    double after[] = {wall_s(), own_cpu_s(), parents_cpu_s()};
    FILE *out = fopen(argv[3], "w");
    if (!out) return 2;
    fprintf(out, "%.6f %.6f %.6f\n", after[0] - before[0], after[1] - before[1], after[2] - before[2]);
    return fclose(out) != 0;
}
