/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast this machine multiplies and moves bytes.
 */
#include "config.h"

#include "frontends/cli/bench.h"

#include "codelets/common/blas.h"
#include "runtime/run/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 512
#define STREAM_BYTES ((size_t)256 << 20)
#define SECONDS 0.4
#define THREADS_MAX 256

enum kind { PRODUCTS, READING, COPYING };

/* Where threads wait until all are ready, or until one could not be started. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int missing; /* threads that are not ready yet */
    bool given_up;
};

struct job {
    pthread_t thread;
    struct gate *gate;
    enum kind kind;
    double amount, seconds; /* flops or bytes done, and in what time */
    double check;           /* keeps the compiler from dropping the work */
    enum plb_status status;
};

static enum plb_status multiply(struct job *job, float *block)
{
    const size_t n = (size_t)SIDE * SIDE;
    const struct plb__sgemm product = {.tb = true,
                                       .m = SIDE,
                                       .n = SIDE,
                                       .k = SIDE,
                                       .a = block,
                                       .b = block + n,
                                       .c = block + 2 * n,
                                       .lda = SIDE,
                                       .ldb = SIDE,
                                       .ldc = SIDE};

    job->amount += 2.0 * SIDE * SIDE * SIDE;
    return plb__sgemm(&product);
}

static void read_all(struct job *job, const float *block)
{
    float sum[16] = {0};

    for (size_t k = 0; k < STREAM_BYTES / sizeof *block; k += 16)
        for (size_t l = 0; l < 16; l++)
            sum[l] += block[k + l];
    for (size_t l = 0; l < 16; l++)
        job->check += (double)sum[l];
    job->amount += (double)STREAM_BYTES;
}

static void copy_half(struct job *job, char *block)
{
    memcpy(block, block + STREAM_BYTES / 2, STREAM_BYTES / 2);
    job->amount += (double)STREAM_BYTES;
}

/* Returns false when the measurement was given up. */
static bool pass(struct gate *gate)
{
    bool open;

    pthread_mutex_lock(&gate->lock);
    gate->missing--;
    pthread_cond_broadcast(&gate->changed);
    while (gate->missing > 0 && !gate->given_up)
        pthread_cond_wait(&gate->changed, &gate->lock);
    open = !gate->given_up;
    pthread_mutex_unlock(&gate->lock);
    return open;
}

static void give_up(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->given_up = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void *work(void *argument)
{
    struct job *job = argument;
    float *block = malloc(STREAM_BYTES);
    double start;

    job->status = block ? PLB_OK : plb_fail(PLB_ERROR_MEMORY, "no memory to measure the machine");
    if (block)
        memset(block, 1, STREAM_BYTES); /* zeros might be promised and never written */
    if (block && job->kind == PRODUCTS)
        job->status = multiply(job, block); /* warms up */
    job->amount = 0.0;
    if (!pass(job->gate)) {
        free(block);
        return NULL;
    }
    start = cli_seconds();
    while (job->status == PLB_OK && cli_seconds() - start < SECONDS) {
        if (job->kind == PRODUCTS)
            job->status = multiply(job, block);
        else if (job->kind == READING)
            read_all(job, block);
        else
            copy_half(job, (char *)block);
    }
    job->seconds = cli_seconds() - start;
    free(block);
    return NULL;
}

static enum plb_status measure(enum kind kind, int threads, double *rate_out)
{
    struct job job[THREADS_MAX];
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, threads, false};
    int started = 1; /* the calling thread is the first */
    double rate = 0.0;

    for (int k = 0; k < threads; k++)
        job[k] = (struct job){.gate = &gate, .kind = kind};
    while (started < threads &&
           pthread_create(&job[started].thread, NULL, work, &job[started]) == 0)
        started++;
    if (started == threads)
        work(&job[0]);
    else
        give_up(&gate);
    for (int k = 1; k < started; k++)
        pthread_join(job[k].thread, NULL);
    if (started < threads)
        return plb_fail(PLB_ERROR_MEMORY, "only %d of %d threads can be had to measure the machine",
                        started, threads);
    for (int k = 0; k < threads; k++) {
        if (job[k].status != PLB_OK)
            return plb_fail(job[k].status, "the machine's rates cannot be measured");
        rate += job[k].amount / job[k].seconds;
    }
    *rate_out = rate;
    return PLB_OK;
}

enum plb_status cli_rates_measure(int threads, struct cli_rates *rates_out)
{
    struct cli_rates rates = {.threads = threads};

    if (threads > THREADS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "at most %d workers can be measured", THREADS_MAX);
    PLB_TRY(plb_blas_start());
    PLB_TRY(measure(PRODUCTS, threads, &rates.flops_per_second));
    PLB_TRY(measure(READING, threads, &rates.bytes_per_second));
    PLB_TRY(measure(COPYING, threads, &rates.copied_per_second));
    *rates_out = rates;
    return PLB_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double cli_median(double *value, int n)
{
    qsort(value, (size_t)n, sizeof *value, compare);
    return n % 2 ? value[n / 2] : 0.5 * (value[n / 2 - 1] + value[n / 2]);
}

enum plb_status cli_worker_threads(const struct plb_settings *settings, int *threads_out)
{
    PLB_TRY(cli_start_runtime(settings));
    *threads_out = plb_runtime_workers();
    plb_runtime_stop();
    return PLB_OK;
}
