/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmarks share: the rates of the machine, measured in the same run.
 */
#ifndef PLB_CLI_BENCH_H
#define PLB_CLI_BENCH_H

#include "frontends/cli/cli.h"

/* Rates of `threads` threads at once. */
struct cli_rates {
    int threads;
    double flops_per_second; /* of the matrix library on 512 x 512 x 512 fp32 products */
    double bytes_per_second; /* of reading 256 MiB a thread */
    double copied_per_second; /* of copying, bytes read and bytes written both counted */
};

/* Measures for about a second and a half. To be called while no workers run: idle ones spin. */
enum plb_status cli_rates_measure(int threads, struct cli_rates *rates_out);

/* Sorts the values and returns their median. */
double cli_median(double *value, int n);

/* The number of workers that the runtime has when it is started: by --workers, STARPU_NCPU, or the
 * cores that this process may use. Starts and stops it to know. */
enum plb_status cli_worker_threads(const struct plb_settings *settings, int *threads_out);

#endif
