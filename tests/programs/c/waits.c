/* waits [SECONDS [FILE]]: waits 60 % of its time on a lock and 40 % on a pipe, and writes for how many seconds on each, by its
 * own clock. Another thread holds the lock for 30 ms, then keeps the pipe empty for 20 ms, again and again: waits of this
 * length bury what waking up costs. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ends[2];
static int rounds;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_ms(long ms) {
    struct timespec t = {0, ms * 1000 * 1000};
    nanosleep(&t, NULL);
}

static void *hold(void *unused) {
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        if (write(ends[1], "x", 1) != 1) exit(1);
        sleep_ms(30);
        pthread_mutex_unlock(&lock);
        sleep_ms(20);
    }
    return unused;
}

__attribute__((noinline)) static void wait_on_the_lock(void) {
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
}

__attribute__((noinline)) static void wait_on_the_pipe(void) {
    char byte;
    if (read(ends[0], &byte, 1) != 1) exit(1);
}

int main(int argc, char **argv) {
    rounds = argc > 1 ? (int)(atof(argv[1]) / 0.05) : 60;
    double lock_s = 0, pipe_s = 0;
    pthread_t holder;
    if (pipe(ends) || pthread_create(&holder, NULL, hold, NULL)) return 1;
    for (int i = 0; i < rounds; i++) {
        double begun = now();
        wait_on_the_pipe();
        double at_the_lock = now();
        wait_on_the_lock();
        pipe_s += at_the_lock - begun;
        lock_s += now() - at_the_lock;
    }
    pthread_join(holder, NULL);
    FILE *out = argc > 2 ? fopen(argv[2], "w") : stdout;
    return !out || fprintf(out, "%.6f %.6f\n", lock_s, pipe_s) < 0 || fclose(out);
}
