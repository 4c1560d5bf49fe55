/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows of images: their number, and the matrix of them.
 */
#include "config.h"

#include "codelets/conv2d/image.h"
#include "codelets/common/elements.h"

/* A block of col: 512 KB, about half of a second-level cache. */
enum { BLOCK_FLOATS = 1 << 17, BLOCK_MIN = 64, PADDING_MAX = 1 << 20 };

/* The most that a side of an image and a stride may be, so that sums of a few do not overflow. */
#define SIDE_MAX ((int64_t)1 << 40)

enum plb_status plb__windows_fit(const struct plb_operator *op, struct plb__windows *w)
{
    int64_t spare_h, spare_w;

    if (w->stride < 1 || w->stride > SIDE_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: stride must be 1 to %lld, but is %lld", op->name,
                        (long long)SIDE_MAX, (long long)w->stride);
    if (w->height > SIDE_MAX || w->width > SIDE_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: an image of %lld x %lld is too large", op->name,
                        (long long)w->height, (long long)w->width);
    if (w->padding < 0 || w->padding > PADDING_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: padding must be 0 to %d, but is %lld", op->name,
                        PADDING_MAX, (long long)w->padding);
    spare_h = w->height + 2 * w->padding - w->window_h;
    spare_w = w->width + 2 * w->padding - w->window_w;
    if (w->window_h < 1 || w->window_w < 1 || spare_h < 0 || spare_w < 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: a window of %lld x %lld does not fit an image of %lld x %lld with "
                        "padding %lld",
                        op->name, (long long)w->window_h, (long long)w->window_w,
                        (long long)w->height, (long long)w->width, (long long)w->padding);
    w->out_h = spare_h / w->stride + 1;
    w->out_w = spare_w / w->stride + 1;
    return PLB_OK;
}

int64_t plb__windows_block(const struct plb__windows *w)
{
    int64_t positions = plb__windows_positions(w), block = BLOCK_FLOATS / plb__windows_taps(w);

    block = block < BLOCK_MIN ? BLOCK_MIN : block;
    return block < positions ? block : positions;
}

/* Some positions of one output row, as one tap sees them: output columns low..high-1, of which
 * inside_low..inside_high-1 fall into the image, there from element `at` of the channel on. */
struct run {
    int64_t low, high, inside_low, inside_high, at;
};

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* The run of positions first.. (up to `end`) in first's output row for the tap at (r, s). */
static struct run run_of(const struct plb__windows *w, int64_t r, int64_t s, int64_t first,
                         int64_t end)
{
    int64_t oh = first / w->out_w, row = oh * w->stride - w->padding + r, left = s - w->padding;
    struct run run = {.low = first % w->out_w};

    run.high = clamp(end - oh * w->out_w, run.low, w->out_w);
    run.inside_low = run.inside_high = run.low;
    if (row < 0 || row >= w->height || left >= w->width)
        return run;
    run.inside_low = clamp(left < 0 ? (-left + w->stride - 1) / w->stride : 0, run.low, run.high);
    run.inside_high =
        clamp((w->width - 1 - left + w->stride) / w->stride, run.inside_low, run.high);
    run.at = row * w->width + run.inside_low * w->stride + left;
    return run;
}

static float element(const struct plb_tensor *cell, int64_t at)
{
    return cell->dtype == PLB_F32 ? ((const float *)cell->data)[at]
                                  : plb__from_bf16(((const uint16_t *)cell->data)[at]);
}

static void run_gather(const struct plb__windows *w, const struct run *run,
                       const struct plb_tensor *cell, int64_t channel_at, float *to)
{
    int64_t count = run->inside_high - run->inside_low, at = channel_at + run->at;
    float *inside = to + (run->inside_low - run->low);

    memset(to, 0, (size_t)(run->inside_low - run->low) * sizeof *to);
    if (w->stride == 1 && count > 0) {
        plb__load(inside, cell, at, count);
    } else {
        for (int64_t j = 0; j < count; j++)
            inside[j] = element(cell, at + j * w->stride);
    }
    memset(inside + count, 0, (size_t)(run->high - run->inside_high) * sizeof *to);
}

void plb__windows_gather(const struct plb__windows *w, const struct plb_tensor *cell, int64_t at,
                         int64_t first, int64_t count, float *col)
{
    int64_t taps = plb__windows_taps(w), window = w->window_h * w->window_w;

    for (int64_t t = 0; t < taps; t++) {
        int64_t channel_at = at + t / window * w->height * w->width;
        int64_t r = t % window / w->window_w, s = t % w->window_w;

        for (int64_t p = first; p < first + count;) {
            struct run run = run_of(w, r, s, p, first + count);

            run_gather(w, &run, cell, channel_at, col + t * count + (p - first));
            p += run.high - run.low;
        }
    }
}

void plb__windows_scatter(const struct plb__windows *w, const float *col, int64_t first,
                          int64_t count, float *image)
{
    int64_t taps = plb__windows_taps(w), window = w->window_h * w->window_w;

    for (int64_t t = 0; t < taps; t++) {
        float *channel = image + t / window * w->height * w->width;
        int64_t r = t % window / w->window_w, s = t % w->window_w;

        for (int64_t p = first; p < first + count;) {
            struct run run = run_of(w, r, s, p, first + count);
            const float *from = col + t * count + (p - first) + (run.inside_low - run.low);

            for (int64_t j = 0; j < run.inside_high - run.inside_low; j++)
                channel[run.at + j * w->stride] += from[j];
            p += run.high - run.low;
        }
    }
}
