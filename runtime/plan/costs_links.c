/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bandwidth and latency of a link from transfers of different sizes.
 *
 * A transfer takes latency + bytes / bandwidth. The line is found by the estimator of Theil and Sen
 * (Sen 1968, Journal of the American Statistical Association 63:1379, eq. 2.5 f.): its slope is the
 * median of the slopes through all pairs of samples, its height the median of what the slope
 * leaves. Up to 29 % of the samples may be arbitrarily wrong. Of the pairs those count whose sizes are
 * far apart: what disturbs a transfer (a thread that wakes late) is as long for a small one as for a
 * large one.
 */
#include "config.h"

#include "runtime/plan/costs_internal.h"

#include <math.h>
#include <stdlib.h>

/* Fewer samples say nothing that one bad one could not spoil. */
#define SAMPLES_LEAST 3u
#define SAMPLES_LINE  5u
/* Sizes closer together than this share of the largest one say little about the slope. */
#define SIZES_APART 0.125
/* Of a sample's time, what a latency that was taken over may explain at most. */
#define LATENCY_SHARE 0.5

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *number, uint32_t n)
{
    qsort(number, n, sizeof *number, compare);
    return number[(n - 1) / 2];
}

/* Slopes through all pairs of samples whose sizes are far apart. */
static uint32_t find_slopes(const struct plb__transfer *sample, uint32_t n, double *slope)
{
    uint32_t n_slopes = 0;
    double largest = 0;

    for (uint32_t i = 0; i < n; i++)
        largest = fmax(largest, (double)sample[i].bytes);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = i + 1; j < n; j++) {
            double a = (double)sample[i].bytes, b = (double)sample[j].bytes;

            if (fabs(b - a) >= SIZES_APART * largest)
                slope[n_slopes++] = (sample[j].seconds - sample[i].seconds) / (b - a);
        }
    return n_slopes;
}

/* Samples of one size: the rate that is left when the known latency is taken off. */
static double rate_of_one_size(const struct plb__transfer *sample, uint32_t n, double latency)
{
    double seconds_per_byte[PLB__LINK_SAMPLES];

    for (uint32_t i = 0; i < n; i++) {
        double less = fmin(latency, LATENCY_SHARE * sample[i].seconds);

        seconds_per_byte[i] = (sample[i].seconds - less) / (double)sample[i].bytes;
    }
    return 1 / median(seconds_per_byte, n);
}

static double find_latency(const struct plb__transfer *sample, uint32_t n, double slope)
{
    double rest[PLB__LINK_SAMPLES];

    for (uint32_t i = 0; i < n; i++)
        rest[i] = sample[i].seconds - slope * (double)sample[i].bytes;
    return fmax(median(rest, n), 0);
}

void plb__link_fit(const struct plb__transfers *transfers, bool out, struct plb_link *link,
                   double *latency_out)
{
    double slope[PLB__LINK_SAMPLES * (PLB__LINK_SAMPLES - 1) / 2], rate, middle;
    uint32_t n =
        transfers->recorded < PLB__LINK_SAMPLES ? (uint32_t)transfers->recorded : PLB__LINK_SAMPLES;
    uint32_t n_slopes;

    rate = out ? link->out_bytes_per_second : link->in_bytes_per_second;
    if (n < SAMPLES_LEAST && (n == 0 || rate > 0))
        return;
    n_slopes = n >= SAMPLES_LINE ? find_slopes(transfers->sample, n, slope) : 0;
    middle = n_slopes >= n ? median(slope, n_slopes) : 0;
    if (middle > 0) {
        rate = 1 / middle;
        *latency_out = find_latency(transfers->sample, n, middle);
    } else {
        rate = rate_of_one_size(transfers->sample, n, link->latency_seconds);
    }
    rate = fmin(fmax(rate, PLB__COST_RATE_MIN), PLB__COST_RATE_MAX);
    if (out)
        link->out_bytes_per_second = rate;
    else
        link->in_bytes_per_second = rate;
}
