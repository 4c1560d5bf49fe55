/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many tensors updated by adamw in few launches have the bits of as many calls of its kernel:
 * tensors of all lengths about a block's, with and without a working copy, off alignment; at first
 * of more groups of attributes than a launch has, then more tensors of one group than it takes.
 *
 * The emulated card's memory is the host's.
 */
#include "config.h"

#include "tests/codelets/cuda_runner.h"
#include "tests/support/cuda/emulator_control.h"
#include "tests/support/plb_test.h"

#include "runtime/base/random.h"
#include "runtime/run/cuda_module.h"

#include <string.h>

enum { P, G, M, V, HYPER, SCALE, WORKING, INPUTS, OUTPUTS = 4 };
enum { TENSORS = 120, GROUPS = 10, LENGTH = 2100 };

/* One tensor, updated in place. */
struct tensor {
    float f32[4][LENGTH + 4]; /* p, g, m, v */
    uint16_t working[LENGTH + 4];
};

static struct tensor tensors[2][TENSORS];
static float hyper[4] = {1e-3f, 10.0f, 20.0f, 0.0f}, scale[1] = {0.5f};
static struct plb_attributes attributes[GROUPS];
static struct plb_tensor parts[TENSORS][INPUTS];
static struct plb_operand in[TENSORS][INPUTS], out[TENSORS][OUTPUTS];
static struct plb_call calls[TENSORS];
static int launches;

static void count(const struct plb_emulator_launch *launch, void *context)
{
    (void)launch;
    (void)context;
    launches++;
}

static int64_t length_of(int k)
{
    static const int64_t lengths[] = {1, 3, 1023, 1024, 1025, 2048, 2051, 64};

    return lengths[k % 8];
}

static void fill(struct tensor *t, int k)
{
    for (int a = 0; a < 4; a++) {
        for (int i = 0; i <= length_of(k); i++) {
            float x = plb_random_normal(1, (uint64_t)(4 * k + a), (uint64_t)i);

            t->f32[a][i] = a == V ? x * x : x;
        }
    }
    memset(t->working, 0, sizeof t->working);
}

static struct plb_operand operand(struct plb_tensor *part, void *data, enum plb_dtype dtype,
                                  int64_t n)
{
    *part = (struct plb_tensor){.data = data, .dtype = dtype, .shape = plb_shape1(n)};
    return (struct plb_operand){.n_parts = 1, .part = part, .whole = part->shape};
}

/* Every 7th tensor is off alignment, every third has no working copy, every fifth no scale. */
static void prepare(struct tensor *t, int k)
{
    int64_t n = length_of(k);
    int off = k % 7 == 6;

    for (int a = P; a <= V; a++)
        in[k][a] = operand(&parts[k][a], t->f32[a] + off, PLB_F32, n);
    in[k][HYPER] = operand(&parts[k][HYPER], hyper, PLB_F32, 4);
    in[k][SCALE] = operand(&parts[k][SCALE], scale, PLB_F32, 1);
    in[k][WORKING] = operand(&parts[k][WORKING], t->working + off, PLB_BF16, n);
    if (k % 3 == 2)
        in[k][WORKING].n_parts = 0;
    if (k % 5 == 4)
        in[k][SCALE].n_parts = 0;
    out[k][0] = in[k][P];
    out[k][1] = in[k][M];
    out[k][2] = in[k][V];
    out[k][3] = in[k][WORKING];
    calls[k] = (struct plb_call){.attributes = &attributes[k < TENSORS / 2 ? k % GROUPS : 0],
                                 .n_in = INPUTS,
                                 .n_out = OUTPUTS,
                                 .in = in[k],
                                 .out = out[k]};
}

static void prepare_all(struct tensor *t)
{
    for (int k = 0; k < GROUPS; k++)
        attributes[k] = (struct plb_attributes){{0}, {0.9, 0.95, 1e-8, 0.01 * k}};
    for (int k = 0; k < TENSORS; k++) {
        fill(&t[k], k);
        prepare(&t[k], k);
    }
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

static void many_have_the_bits_of_single_calls(void)
{
    const struct plb_call *list[TENSORS];
    const struct plb__cuda_module *module;
    struct plb_cuda_queue queue;

    PLB_REQUIRE(plb__cuda_module_load(&module) == PLB_OK);
    cuda_runner_queue(&queue);
    prepare_all(tensors[0]);
    for (int k = 0; k < TENSORS; k++)
        PLB_CHECK_EQ(cuda_runner_operator("adamw")->run(&calls[k], &queue), PLB_OK);
    PLB_CHECK(cuda_runner_wait(&queue));
    prepare_all(tensors[1]);
    for (int k = 0; k < TENSORS; k++)
        list[k] = &calls[k];
    launches = 0;
    plb_emulator_watch(count, NULL, true);
    PLB_CHECK_EQ(module->work->adamw_many(list, TENSORS, &queue), PLB_OK);
    PLB_CHECK(cuda_runner_wait(&queue));
    PLB_CHECK(memcmp(tensors[0], tensors[1], sizeof tensors[0]) == 0);
    PLB_CHECK(tensors[0][0].f32[P][0] != plb_random_normal(1, 0, 0));
    PLB_CHECK(launches >= TENSORS / 2 / 8);
    PLB_CHECK(launches <= TENSORS / 2 / 8 + 4);
}

static void none_are_nothing(void)
{
    const struct plb__cuda_module *module;
    struct plb_cuda_queue queue;

    PLB_REQUIRE(plb__cuda_module_load(&module) == PLB_OK);
    cuda_runner_queue(&queue);
    launches = 0;
    PLB_CHECK_EQ(module->work->adamw_many(NULL, 0, &queue), PLB_OK);
    PLB_CHECK_EQ(launches, 0);
}

PLB_TEST_MAIN("codelets/adamw_many_cuda", setup, teardown,
              PLB_TEST(many_have_the_bits_of_single_calls), PLB_TEST(none_are_nothing))
