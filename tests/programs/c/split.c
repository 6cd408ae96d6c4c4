/* Spends three quarters of its CPU time in one function and one quarter in another, by the clock of its thread, in turns of
 * random length. Both do their work in the same two places: a leaf, which has no frame in optimised code, and libc. So who
 * called these is all that tells the two apart.
 *
 * Usage: split [SECONDS]. Prints the share of the first function. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char left[1 << 14], right[1 << 14];
static volatile uint64_t sink;
static double spent_s[2];

static double cpu_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

__attribute__((noinline)) static uint64_t spin(uint64_t rounds) {
    uint64_t state = 1;
    for (uint64_t round = 0; round < rounds; round++) {
        state = state * 6364136223846793005u + round;
    }
    return state;
}

__attribute__((noinline)) static void three_quarters(double until_s) {
    while (cpu_s() < until_s) {
        sink += spin(20000);
        for (int i = 0; i < 40; i++) {
            sink += memcmp(left, right, sizeof left);
        }
    }
}

__attribute__((noinline)) static void one_quarter(double until_s) {
    while (cpu_s() < until_s) {
        sink += spin(20000);
        for (int i = 0; i < 40; i++) {
            sink += memcmp(left, right, sizeof left);
        }
        sink++;
    }
}

int main(int argc, char **argv) {
    double all_s = argc > 1 ? atof(argv[1]) : 4;
    srand(1);
    double now_s = cpu_s(), end_s = now_s + all_s;
    while (now_s < end_s) {
        int second = spent_s[0] > 3 * spent_s[1];
        double turn_s = 1e-3 * (0.5 + rand() / (double)RAND_MAX);
        double begun_s = now_s;
        second ? one_quarter(begun_s + turn_s) : three_quarters(begun_s + turn_s);
        now_s = cpu_s();
        spent_s[second] += now_s - begun_s;
    }
    printf("%.4f\n", spent_s[0] / (spent_s[0] + spent_s[1]));
    return 0;
}
