/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two operators as one launch (codelets/norm/fused.h) have the bits of both, one after the other:
 * every pair of the module, in both dtypes, on rows that threads hold and on longer ones, off
 * alignment, in place and not; and what goes from one to the other is written where it is wanted.
 *
 * The emulated card's memory is the host's.
 */
#include "config.h"

#include "tests/codelets/cuda_runner.h"
#include "tests/support/cuda/emulator_control.h"
#include "tests/support/plb_test.h"

#include "codelets/common/elements.h"
#include "runtime/base/random.h"
#include "runtime/run/cuda_module.h"

#include <string.h>

enum { ROWS = 3, COLUMNS = 8500, ARRAYS = 7, OPERANDS = 5 };
/* Arrays of the pairs, whatever their order: three matrices that are read, what goes from one to
 * the other, the result; weights; numbers of rows. */
enum { A, B, C, MIDDLE, RESULT, GAMMA, BETA };

/* Bytes enough for floats; the numbers of a row. */
struct data {
    _Alignas(256) float array[ARRAYS][ROWS * COLUMNS + 8];
    float mean[ROWS], rstd[ROWS];
};

struct size {
    int64_t columns;
    enum plb_dtype dtype;
    int off; /* elements off alignment */
};

static const struct size sizes[] = {
    {1, PLB_F32, 0},   {70, PLB_F32, 0},    {192, PLB_BF16, 0}, {192, PLB_BF16, 1},
    {75, PLB_BF16, 0}, {2560, PLB_BF16, 0}, {8500, PLB_F32, 0},
};

static struct data data[2];
static struct plb_tensor parts[2][2 * OPERANDS];
static struct plb_operand operands[2][2 * OPERANDS];
static const struct plb_attributes attributes = {{0}, {1e-5}};
static int launches;

static void count(const struct plb_emulator_launch *launch, void *context)
{
    (void)launch;
    (void)context;
    launches++;
}

static int setup(void)
{
    return cuda_runner_open() == NULL;
}

static int teardown(void)
{
    plb_emulator_watch(NULL, NULL, true);
    cuda_runner_close();
    return 0;
}

/* The same in both sets; results are what nothing makes. */
static void fill(struct data *d, const struct size *size)
{
    memset(d, 0x5a, sizeof *d);
    for (int k = 0; k < ARRAYS; k++) {
        struct plb_tensor all = {.data = d->array[k], .dtype = size->dtype};

        for (int64_t i = 0; i < ROWS * size->columns + size->off && k != MIDDLE; i++) {
            float x = plb_random_normal(7, (uint64_t)k, (uint64_t)i);

            plb__store(&all, i, &x, 1);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        d->mean[r] = 0.1f * (float)r;
        d->rstd[r] = 1.0f + 0.3f * (float)r;
    }
}

/* ---- calls ---- */

struct calls {
    struct plb_call first, second;
    char *middle;
};

static struct plb_operand operand(struct plb_tensor *part, void *at, enum plb_dtype dtype,
                                  struct plb_shape shape)
{
    *part = (struct plb_tensor){.data = at, .dtype = dtype, .shape = shape};
    return (struct plb_operand){.n_parts = 1, .part = part, .whole = shape};
}

/* Operand k of call `call` is an array, or NULL: the rows' numbers at `numbers`. */
static void set(int call, int k, struct data *d, int array, float *numbers,
                const struct size *size)
{
    char *at = (char *)d->array[array] + (size_t)size->off * plb_dtype_bytes(size->dtype);
    struct plb_shape shape = plb_shape2(ROWS, size->columns);

    if (array == GAMMA || array == BETA)
        shape = plb_shape1(size->columns);
    if (numbers)
        operands[call][k] =
            operand(&parts[call][k], numbers, PLB_F32, plb_shape1(ROWS));
    else
        operands[call][k] = operand(&parts[call][k], at, size->dtype, shape);
}

static struct plb_call call_of(int call, int n_in, int n_out)
{
    return (struct plb_call){.attributes = &attributes,
                             .n_in = n_in,
                             .n_out = n_out,
                             .in = operands[call],
                             .out = operands[call] + OPERANDS,
                             .high = {ROWS}};
}

static struct plb_call make_add(int call, struct data *d, int a, int b, int y,
                                const struct size *size)
{
    set(call, 0, d, a, NULL, size);
    set(call, 1, d, b, NULL, size);
    set(call, OPERANDS, d, y, NULL, size);
    return call_of(call, 2, 1);
}

/* result = norm(middle), whose numbers are outputs 1 and 2, or 1. */
static struct plb_call make_norm(int call, struct data *d, bool centred, const struct size *size)
{
    set(call, 0, d, MIDDLE, NULL, size);
    set(call, 1, d, GAMMA, NULL, size);
    set(call, 2, d, BETA, NULL, size);
    set(call, OPERANDS, d, RESULT, NULL, size);
    set(call, OPERANDS + 1, d, 0, centred ? d->mean : d->rstd, size);
    set(call, OPERANDS + 2, d, 0, d->rstd, size);
    return call_of(call, centred ? 3 : 2, centred ? 3 : 2);
}

/* middle = norm_dx(A, B, gamma, numbers). */
static struct plb_call make_norm_dx(int call, struct data *d, bool centred,
                                    const struct size *size)
{
    set(call, 0, d, A, NULL, size);
    set(call, 1, d, B, NULL, size);
    set(call, 2, d, GAMMA, NULL, size);
    set(call, 3, d, 0, centred ? d->mean : d->rstd, size);
    set(call, 4, d, 0, d->rstd, size);
    set(call, OPERANDS, d, MIDDLE, NULL, size);
    return call_of(call, centred ? 5 : 4, 1);
}

/* With `in_place` a sum lies where its other addend lay, or the norm there. */
static struct calls make(const struct plb_cuda_fusion *fusion, struct data *d, bool in_place,
                         const struct size *size)
{
    struct calls c;

    if (strcmp(fusion->first, "add") == 0) {
        bool centred = strcmp(fusion->second, "layer_norm") == 0;

        c.first = make_add(0, d, A, B, MIDDLE, size);
        c.second = make_norm(1, d, centred, size);
        if (in_place)
            set(1, OPERANDS, d, B, NULL, size);
    } else {
        bool centred = strcmp(fusion->first, "layer_norm_dx") == 0;

        c.first = make_norm_dx(0, d, centred, size);
        c.second = make_add(1, d, fusion->in == 0 ? MIDDLE : C, fusion->in == 0 ? C : MIDDLE,
                            in_place ? C : RESULT, size);
    }
    c.middle = (char *)d->array[MIDDLE] + (size_t)size->off * plb_dtype_bytes(size->dtype);
    return c;
}

/* ---- tests ---- */

static void check(const struct plb_cuda_fusion *fusion, const struct size *size, bool in_place,
                  bool keep)
{
    struct plb_cuda_queue queue;
    struct calls c;

    cuda_runner_queue(&queue);
    fill(&data[0], size);
    c = make(fusion, &data[0], in_place, size);
    PLB_CHECK_EQ(cuda_runner_operator(fusion->first)->run(&c.first, &queue), PLB_OK);
    PLB_CHECK_EQ(cuda_runner_operator(fusion->second)->run(&c.second, &queue), PLB_OK);
    PLB_CHECK(cuda_runner_wait(&queue));
    fill(&data[1], size);
    c = make(fusion, &data[1], in_place, size);
    launches = 0;
    plb_emulator_watch(count, NULL, true);
    PLB_CHECK_EQ(fusion->run(&c.first, &c.second, fusion->in, keep, &queue), PLB_OK);
    PLB_CHECK(cuda_runner_wait(&queue));
    PLB_CHECK_EQ(launches, 1);
    if (!keep) {
        if (size->columns < COLUMNS) /* held: nothing writes it */
            PLB_CHECK_EQ(*c.middle, 0x5a);
        memcpy(data[1].array[MIDDLE], data[0].array[MIDDLE], sizeof data[0].array[MIDDLE]);
    }
    PLB_CHECK(memcmp(&data[0], &data[1], sizeof data[0]) == 0);
    if (memcmp(&data[0], &data[1], sizeof data[0]) != 0)
        fprintf(stderr, "%s, %s: %lld columns of %s%s%s\n", fusion->first, fusion->second,
                (long long)size->columns, plb_dtype_name(size->dtype), in_place ? ", in place" : "",
                keep ? ", kept" : "");
}

static void pairs_have_the_bits_of_both(void)
{
    const struct plb__cuda_module *module;
    const struct plb_cuda_fusion *fusion;

    PLB_REQUIRE(plb__cuda_module_load(&module) == PLB_OK);
    for (fusion = module->work->fusions; fusion->first; fusion++)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
            for (int way = 0; way < 4; way++)
                check(fusion, &sizes[k], way & 1, way & 2);
    PLB_CHECK(fusion - module->work->fusions >= 6);
}

PLB_TEST_MAIN("codelets/fused_cuda", setup, teardown, PLB_TEST(pairs_have_the_bits_of_both))
