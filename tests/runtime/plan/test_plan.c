/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans: what the checker refuses and why, and that the memory layout never puts two living values
 * into one slot.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/policy.h"
#include "runtime/plan/storage.h"
#include "schedulers/schedulers.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

/* w' = w + gelu(x w^T ...) in small: an input, a parameter with a next version, an output. */
struct example {
    plb_graph_t *graph;
    plb_value x, w, a, b, y, next;
};

static struct example make_example(void)
{
    struct example e = {.graph = plb_graph_create()};
    plb_graph_t *g = e.graph;

    e.x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    e.w = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(4, 4));
    e.a = plb_gelu(g, e.x, PLB_GELU_ERF);
    e.b = plb_gelu(g, e.a, PLB_GELU_ERF);
    e.y = plb_add(g, e.a, e.b);
    plb_graph_output(g, e.y);
    e.next = plb_add(g, e.w, e.b);
    plb_graph_carry(g, e.w, e.next);
    return e;
}

static struct plb_plan plan_of(const struct example *e)
{
    struct plb_plan plan = {0};

    PLB_CHECK_EQ(plb_graph_status(e->graph), PLB_OK);
    PLB_CHECK_EQ(plb_memory_none.plan(&(struct plb_problem){.graph = e->graph}, &plan), PLB_OK);
    return plan;
}

static void policy_none_passes(void)
{
    struct example e = make_example();
    struct plb_plan plan = plan_of(&e);
    uint32_t runs = 0, drops = 0;

    PLB_CHECK_EQ(plb_plan_check(&plan, e.graph, NULL), PLB_OK);
    for (uint32_t i = 0; i < plan.n; i++) {
        runs += plan.instruction[i].code == PLB_RUN;
        drops += plan.instruction[i].code == PLB_DROP;
    }
    PLB_CHECK_EQ(runs, plb_graph_tasks(e.graph));
    /* y = a + b takes over a; w' takes over w; only b is dropped. */
    PLB_CHECK_EQ(drops, 1);
    PLB_CHECK_STRING(plan.policy, "none");
    plb_plan_clear(&plan);
    plb_graph_destroy(e.graph);
}

/* A change of a right plan, and what the checker must say to it. */
struct violation {
    const char *name, *expected;
    void (*spoil)(const struct example *e, struct plb_plan *plan);
};

static uint32_t find(const struct plb_plan *plan, enum plb_opcode code, uint32_t subject)
{
    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->instruction[i].code == code && plan->instruction[i].subject == subject)
            return i;
    PLB_CHECK(!"the instruction is in the plan");
    return 0;
}

static uint32_t find_run(const struct example *e, const struct plb_plan *plan, plb_value made)
{
    return find(plan, PLB_RUN, plb_graph_value(e->graph, made)->producer);
}

static void erase(struct plb_plan *plan, uint32_t at)
{
    plan->n--;
    memmove(&plan->instruction[at], &plan->instruction[at + 1],
            (plan->n - at) * sizeof plan->instruction[0]);
}

static void other_graph(const struct example *e, struct plb_plan *plan)
{
    (void)e;
    plan->fingerprint++;
}

static void missing_input(const struct example *e, struct plb_plan *plan)
{
    erase(plan, find_run(e, plan, e->a));
}

static void made_twice(const struct example *e, struct plb_plan *plan)
{
    (void)e;
    plan->instruction[1] = plan->instruction[0];
}

static void drop_absent(const struct example *e, struct plb_plan *plan)
{
    PLB_CHECK_EQ(plb_plan_append(plan, (struct plb_instruction){PLB_DROP, e->b, 0, PLB_DEVICE}), PLB_OK);
}

static void drop_lasting(const struct example *e, struct plb_plan *plan)
{
    PLB_CHECK_EQ(plb_plan_append(plan, (struct plb_instruction){PLB_DROP, e->x, 0, PLB_DEVICE}), PLB_OK);
}

static void forget_drop(const struct example *e, struct plb_plan *plan)
{
    erase(plan, find(plan, PLB_DROP, e->b));
}

static void drop_output(const struct example *e, struct plb_plan *plan)
{
    PLB_CHECK_EQ(plb_plan_append(plan, (struct plb_instruction){PLB_DROP, e->y, 0, PLB_DEVICE}), PLB_OK);
}

static void not_in_place(const struct example *e, struct plb_plan *plan)
{
    plan->instruction[find_run(e, plan, e->next)].takes = 0;
}

static void not_permitted(const struct example *e, struct plb_plan *plan)
{
    plan->instruction[find_run(e, plan, e->a)].takes = 1; /* gelu may not overwrite its input */
}

static void no_such_output(const struct example *e, struct plb_plan *plan)
{
    plan->instruction[find_run(e, plan, e->a)].takes = 2;
}

static void no_such_task(const struct example *e, struct plb_plan *plan)
{
    plan->instruction[0].subject = plb_graph_tasks(e->graph);
}

static void no_such_value(const struct example *e, struct plb_plan *plan)
{
    plan->instruction[find(plan, PLB_DROP, e->b)].subject = plb_graph_values(e->graph);
}

static void no_such_code(const struct example *e, struct plb_plan *plan)
{
    (void)e;
    plan->instruction[0].code = (enum plb_opcode)77;
}

static const struct violation violations[] = {
    {"other graph", "another graph", other_graph},
    {"missing input", "which is not there", missing_input},
    {"made twice", "which is there already", made_twice},
    {"drop absent", "which is not there", drop_absent},
    {"drop lasting", "lives on from step to step", drop_lasting},
    {"forget drop", "was not dropped", forget_drop},
    {"drop output", "the output", drop_output},
    {"not in place", "does not lie in the storage of 'w'", not_in_place},
    {"not permitted", "may not take over", not_permitted},
    {"no such output", "has no output", no_such_output},
    {"no such task", "runs task", no_such_task},
    {"no such value", "drops value", no_such_value},
    {"no such code", "unknown code", no_such_code},
};

static void checker_names_the_violation(void)
{
    for (size_t k = 0; k < sizeof violations / sizeof violations[0]; k++) {
        struct example e = make_example();
        struct plb_plan plan = plan_of(&e);

        violations[k].spoil(&e, &plan);
        PLB_CHECK_EQ(plb_plan_check(&plan, e.graph, NULL), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), violations[k].expected);
        plb_plan_clear(&plan);
        plb_graph_destroy(e.graph);
    }
}

/* A random graph of additions and GELUs over values of a few sizes. */
static plb_graph_t *random_graph(unsigned *seed)
{
    enum { SIZES = 3, FIRST = 3 };
    plb_graph_t *g = plb_graph_create();
    plb_value pool[SIZES][64];
    int n[SIZES] = {0};
    char name[16];

    for (int s = 0; s < SIZES; s++) {
        for (int k = 0; k < FIRST; k++) {
            snprintf(name, sizeof name, "x%d.%d", s, k);
            pool[s][n[s]++] =
                plb_graph_add_value(g, name, k ? PLB_ROLE_INPUT : PLB_ROLE_PARAMETER, PLB_F32,
                                    plb_shape2(8 * (s + 1), 100 * (s + 1)));
        }
    }
    for (int k = 0; k < 40; k++) {
        int s = rand_r(seed) % SIZES;
        plb_value a = pool[s][rand_r(seed) % n[s]], b = pool[s][rand_r(seed) % n[s]];
        plb_value y = rand_r(seed) % 3 ? plb_add(g, a, b) : plb_gelu(g, a, PLB_GELU_TANH);

        if (rand_r(seed) % 6 == 0)
            plb_graph_output(g, y);
        pool[s][n[s]++] = y;
    }
    for (int s = 0; s < SIZES; s++)
        plb_graph_carry(g, pool[s][0], plb_add(g, pool[s][0], pool[s][n[s] - 1]));
    return g;
}

/* Plays the program on the slots: what lies in each is always the value that a reader expects. */
static void check_layout(const plb_graph_t *g, const struct plb_plan *plan,
                         const struct plb_storage *storage)
{
    plb_value *lies = malloc((storage->n_slots + 1) * sizeof *lies);
    size_t sum = 0;

    for (uint32_t k = 0; k < storage->n_slots; k++) {
        lies[k] = storage->slot[k].initial;
        sum += storage->slot[k].bytes;
    }
    PLB_CHECK_EQ(sum, storage->bytes);
    PLB_CHECK(storage->peak <= storage->bytes);
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_task *task;
        const uint32_t *slot = &storage->operand[storage->in_slot[i]];
        uint32_t n_in;

        if (plan->instruction[i].code != PLB_RUN)
            continue;
        task = plb_graph_task(g, plan->instruction[i].subject);
        n_in = task->in_start[task->n_in];
        for (uint32_t j = 0; j < n_in; j++)
            PLB_CHECK_EQ(lies[slot[j]], task->in[j]);
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
            PLB_CHECK(storage->slot[slot[n_in + j]].bytes >=
                      plb_type_bytes(&plb_graph_value(g, task->out[j])->type));
            lies[slot[n_in + j]] = task->out[j];
        }
    }
    for (uint32_t k = 0; k < storage->n_slots; k++) {
        plb_value first = storage->slot[k].initial;

        if (first == PLB_NONE)
            continue;
        PLB_CHECK_EQ(lies[k], plb_graph_value(g, first)->next == PLB_NONE
                                  ? first
                                  : plb_graph_value(g, first)->next);
    }
    free(lies);
}

static void random_programs_keep_values_apart(void)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        unsigned state = seed;
        plb_graph_t *g = random_graph(&state);
        struct plb_plan plan = {0};
        struct plb_storage storage;

        PLB_REQUIRE(plb_graph_status(g) == PLB_OK);
        PLB_REQUIRE(plb_memory_none.plan(&(struct plb_problem){.graph = g}, &plan) == PLB_OK);
        PLB_CHECK_EQ(plb_plan_check(&plan, g, NULL), PLB_OK);
        PLB_REQUIRE(plb_storage_assign(&plan, g, &storage) == PLB_OK);
        check_layout(g, &plan, &storage);
        plb_storage_clear(&storage);
        plb_plan_clear(&plan);
        plb_graph_destroy(g);
    }
}

static void unknown_policy_lists_the_known(void)
{
    const struct plb_memory_policy *policy = NULL;

    unsetenv("PALOMBE_MEMORY");
    PLB_CHECK_EQ(plb_memory_policy_find(NULL, &policy), PLB_OK);
    PLB_CHECK(policy == &plb_memory_none);
    PLB_CHECK_EQ(plb_memory_policy_find("nome", &policy), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'nome'; known are: none");
    setenv("PALOMBE_MEMORY", "psychic", 1);
    PLB_CHECK_EQ(plb_memory_policy_find(NULL, &policy), PLB_ERROR_INVALID);
    unsetenv("PALOMBE_MEMORY");
}

PLB_TEST_MAIN("runtime/plan", NULL, NULL, PLB_TEST(policy_none_passes),
              PLB_TEST(checker_names_the_violation), PLB_TEST(random_programs_keep_values_apart),
              PLB_TEST(unknown_policy_lists_the_known))
