/* An OpenMP program that does not scale at all: every job needs the one lock. OMP_NUM_THREADS sets its worker count.
 * The jobs sleep, so that the shape does not depend on the CPUs there are. */
#include <stdio.h>
#include <time.h>
#include <omp.h>

int main(void) {
    const struct timespec job = {0, 40 * 1000 * 1000};
    double begun = omp_get_wtime();
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < 5; i++) {
#pragma omp critical
        nanosleep(&job, NULL);
    }
    printf("took %.6f s\n", omp_get_wtime() - begun);
    return 0;
}
