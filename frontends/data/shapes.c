/* SPDX-License-Identifier: BSD-3-Clause */
/* The formulas of the shapes. */
#include "config.h"

#include "frontends/data/shapes.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/random.h"

#define STREAM_SHAPE UINT64_C(0x7368617065000000)
#define STREAM_NOISE UINT64_C(0x6e6f697365000000)
#define LINE         1.0f /* half the width of a line, in pixels */

enum { DISC, RING, SQUARE, FRAME, CROSS };

static const char *const names[PLB_SHAPES] = {"disc", "ring", "square", "frame", "cross"};

const char *plb_shapes_class_name(int class_number)
{
    return class_number >= 0 && class_number < PLB_SHAPES ? names[class_number] : NULL;
}

/* Whether the point (x, y), seen from the middle, belongs to a shape of that radius. */
static bool inside(int shape, float x, float y, float radius)
{
    float round = sqrtf(x * x + y * y), box = fmaxf(fabsf(x), fabsf(y));

    switch (shape) {
    case DISC:
        return round <= radius;
    case RING:
        return fabsf(round - radius) <= LINE;
    case SQUARE:
        return box <= radius;
    case FRAME:
        return fabsf(box - radius) <= LINE;
    default:
        return box <= radius && fminf(fabsf(x), fabsf(y)) <= LINE;
    }
}

static void draw(uint64_t seed, uint64_t image, int64_t side, float noise, float *pixels,
                 int32_t *class_out)
{
    uint64_t elements = (uint64_t)(side * side);
    uint32_t words[4];

    plb_random_words(seed, STREAM_SHAPE, image, words);
    int shape = (int)(words[0] % PLB_SHAPES);
    float radius = (float)side * (0.2f + 0.15f * plb_random_unit(words[1]));
    float room = (float)side - 2.0f * radius - 1.0f;
    float x0 = radius + room * plb_random_unit(words[2]);
    float y0 = radius + room * plb_random_unit(words[3]);
    for (int64_t y = 0; y < side; y++) {
        for (int64_t x = 0; x < side; x++) {
            uint64_t element = (uint64_t)(y * side + x);
            float light = inside(shape, (float)x - x0, (float)y - y0, radius) ? 1.0f : -1.0f;
            pixels[element] =
                light + noise * plb_random_normal(seed, STREAM_NOISE, image * elements + element);
        }
    }
    *class_out = shape;
}

void plb_shapes_draw(uint64_t seed, uint64_t first, int64_t count, int64_t side, float noise,
                     float *pixels, int32_t *classes)
{
    for (int64_t i = 0; i < count; i++)
        draw(seed, first + (uint64_t)i, side, noise, pixels + i * side * side, &classes[i]);
}
