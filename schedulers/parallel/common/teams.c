/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Teams: which positions a chunk has, and what its jobs take on its places.
 *
 * The seconds of a job are those of its tasks divided among the workers of its stage; what is not
 * divided into shards takes each place of the stage, or lets the others wait, for as long.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_OF_A_KIND ((PLB__JOB_KINDS + 1) * 2) /* of struct loads */
#define SWEEPS         64 /* of moving cuts between stages; a few are enough */
#define SLACK          1.02 /* a chunk may be slower by this factor where that moves fewer bytes */

void plb__team_clear(struct plb__team *team)
{
    free(team->bound);
    free(team->stage_of);
    free(team->in_stage);
    free(team->place);
    *team = (struct plb__team){0};
}

enum plb_status plb__team_create(uint32_t stages, uint32_t chunks, uint32_t places,
                                 struct plb__team *team_out)
{
    struct plb__team team = {.stages = stages, .chunks = chunks};

    team.bound = calloc((size_t)chunks + 1, sizeof *team.bound);
    team.stage_of = calloc((size_t)chunks + 1, sizeof *team.stage_of);
    team.in_stage = calloc((size_t)stages + 1, sizeof *team.in_stage);
    team.place = calloc((size_t)places + 1, sizeof *team.place);
    if (!team.bound || !team.stage_of || !team.in_stage || !team.place) {
        plb__team_clear(&team);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a pipeline of %u chunks", chunks);
    }
    *team_out = team;
    return PLB_OK;
}

/* ---- seconds ---- */

/* Sums of seconds over positions, per kind of device, kind of job, and whether tasks are shards.
 * What the rest takes for a parameter counts where the parameter is read, shared by the
 * micro-batches. */
struct loads {
    uint32_t positions;
    double *sum; /* [kind][job or rest][shard or not][position + 1] */
};

static double *sums_of(const struct loads *loads, uint32_t kind, int job, int shard)
{
    size_t row = (size_t)kind * ROWS_OF_A_KIND + (size_t)job * 2 + (size_t)shard;

    return loads->sum + row * ((size_t)loads->positions + 1);
}

static enum plb_status find_loads(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem, struct loads *loads)
{
    uint32_t kinds = plb_places_kinds(problem->places), n = jobs->positions;

    loads->positions = n;
    loads->sum = calloc((size_t)kinds * ROWS_OF_A_KIND * ((size_t)n + 1), sizeof *loads->sum);
    if (!loads->sum)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the seconds of %u positions", n);
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb__jobs_task *it = &jobs->task[t];
        int shard = plb_graph_task(jobs->graph, t)->shard >= 0;
        bool rest = it->kind == PLB__JOB_REST;
        uint32_t at = rest ? jobs->sums_for[t] : it->position;

        if (rest ? at == PLB_NONE : it->micro_batch != 0)
            continue;
        at = rest ? jobs->home[at] : at;
        for (uint32_t k = 0; k < kinds; k++)
            sums_of(loads, k, it->kind, shard)[at + 1] +=
                problem->seconds[k][t] / (rest ? jobs->micro_batches : 1);
    }
    for (uint32_t k = 0; k < kinds * ROWS_OF_A_KIND; k++) {
        double *sum = loads->sum + (size_t)k * ((size_t)n + 1);

        for (uint32_t i = 1; i <= n; i++)
            sum[i] += sum[i - 1];
    }
    return PLB_OK;
}

/* Places of a stage that share the shards. */
static double divisor(const struct plb__jobs *jobs, const struct plb__team *team, uint32_t stage)
{
    uint32_t places = team->in_stage[stage + 1] - team->in_stage[stage];

    return places < jobs->shards ? places : jobs->shards;
}

static uint32_t first_place(const struct plb__team *team, uint32_t chunk)
{
    return team->place[team->in_stage[team->stage_of[chunk]]];
}

/* Seconds of a job of positions from .. to - 1 on the places of a chunk's stage. */
static double load(const struct loads *loads, const struct plb__jobs *jobs,
                   const struct plb_parallel_problem *problem, const struct plb__team *team,
                   uint32_t chunk, int job, uint32_t from, uint32_t to)
{
    uint32_t kind = plb_places_at(problem->places, first_place(team, chunk))->kind;
    const double *whole = sums_of(loads, kind, job, 0), *part = sums_of(loads, kind, job, 1);
    int workers = plb_costs_platform(plb_places_costs(problem->places, kind))->workers;

    return (whole[to] - whole[from] +
            (part[to] - part[from]) / divisor(jobs, team, team->stage_of[chunk])) /
           workers;
}

/* ---- balance ---- */

struct balance {
    const struct plb__jobs *jobs;
    const struct plb_parallel_problem *problem;
    struct plb__team *team;
    struct loads loads;
    double *best;   /* [chunks + 1][positions + 1]: least of the slowest of the first c chunks that
                       have the first i positions; then least bytes moved */
    uint32_t *from; /* likewise: where the last of them begins */
};

static double chunk_seconds(const struct balance *b, uint32_t c, uint32_t from, uint32_t to)
{
    double seconds = 0;

    for (int job = 0; job <= PLB__JOB_REST; job++)
        seconds += load(&b->loads, b->jobs, b->problem, b->team, c, job, from, to);
    return seconds;
}

static size_t cell(const struct balance *b, uint32_t c, uint32_t i)
{
    return (size_t)c * ((size_t)b->jobs->positions + 1) + i;
}

/* The slowest chunk of the best division. The later the last chunk begins, the faster it and the
 * slower what is before it: the best beginning is where the two meet. */
static double least_bottleneck(struct balance *b)
{
    uint32_t n = b->jobs->positions, chunks = b->team->chunks;

    for (uint32_t i = 0; i <= n; i++)
        b->best[cell(b, 0, i)] = i == 0 ? 0 : HUGE_VAL;
    for (uint32_t c = 1; c <= chunks; c++) {
        for (uint32_t i = 0; i < c; i++)
            b->best[cell(b, c, i)] = HUGE_VAL;
        for (uint32_t i = c; i <= n; i++) {
            uint32_t low = c - 1, high = c == 1 ? 0 : i - 1;

            while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (b->best[cell(b, c - 1, middle)] >= chunk_seconds(b, c - 1, middle, i))
                    high = middle;
                else
                    low = middle + 1;
            }
            b->best[cell(b, c, i)] =
                fmax(b->best[cell(b, c - 1, low)], chunk_seconds(b, c - 1, low, i));
            if (low > c - 1)
                b->best[cell(b, c, i)] =
                    fmin(b->best[cell(b, c, i)], fmax(b->best[cell(b, c - 1, low - 1)],
                                                      chunk_seconds(b, c - 1, low - 1, i)));
        }
    }
    return b->best[cell(b, chunks, n)];
}

/* The division that moves the fewest bytes of those whose chunks take no longer than `most`. */
static void least_bytes(struct balance *b, double most)
{
    uint32_t n = b->jobs->positions, chunks = b->team->chunks;

    for (uint32_t i = 0; i <= n; i++)
        b->best[cell(b, 0, i)] = i == 0 ? 0 : HUGE_VAL;
    for (uint32_t c = 1; c <= chunks; c++) {
        for (uint32_t i = 0; i <= n; i++) {
            b->best[cell(b, c, i)] = HUGE_VAL;
            b->from[cell(b, c, i)] = PLB_NONE;
            for (uint32_t j = i; j-- > c - 1;) {
                double bytes = b->best[cell(b, c - 1, j)] + b->jobs->forward[j] +
                               b->jobs->backward[j];

                if (chunk_seconds(b, c - 1, j, i) > most)
                    break;
                if (bytes < b->best[cell(b, c, i)]) {
                    b->best[cell(b, c, i)] = bytes;
                    b->from[cell(b, c, i)] = j;
                }
            }
        }
    }
    b->team->bound[chunks] = n;
    for (uint32_t c = chunks; c > 0; c--)
        b->team->bound[c - 1] = b->from[cell(b, c, b->team->bound[c])];
}

/* ---- stages of several chunks ---- */

/* Seconds of the jobs of a stage, as chunks are cut now. */
static double stage_seconds(const struct balance *b, uint32_t stage)
{
    const struct plb__team *team = b->team;
    double seconds = 0;

    for (uint32_t c = 0; c < team->chunks; c++)
        if (team->stage_of[c] == stage)
            seconds += chunk_seconds(b, c, team->bound[c], team->bound[c + 1]);
    return seconds;
}

static double cut_bytes(const struct balance *b, uint32_t k)
{
    return b->jobs->forward[k] + b->jobs->backward[k];
}

/* Moves the beginning of chunk c to where the slower of the two stages beside it is fastest, among
 * cuts that move at most `most` bytes; true: it has moved. */
static bool move_cut(struct balance *b, uint32_t c, double most)
{
    uint32_t *bound = b->team->bound, best = bound[c];
    uint32_t before = b->team->stage_of[c - 1], after = b->team->stage_of[c], was = bound[c];
    double least = HUGE_VAL;

    if (before == after)
        return false;
    for (uint32_t k = bound[c - 1] + 1; k < bound[c + 1]; k++) {
        double slower;

        if (k != was && cut_bytes(b, k) > most)
            continue;
        bound[c] = k;
        slower = fmax(stage_seconds(b, before), stage_seconds(b, after));
        if (slower < least * (1 - 1e-9) || (k == was && slower <= least)) {
            least = slower;
            best = k;
        }
    }
    bound[c] = best;
    return best != was;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What the cheapest quarter of all cuts move at most, or the present ones do. */
static double cheap_cut(struct balance *b)
{
    uint32_t n = b->jobs->positions - 1;
    double most = 0;

    for (uint32_t k = 0; k < n; k++)
        b->best[k] = cut_bytes(b, k + 1);
    qsort(b->best, n, sizeof *b->best, compare_doubles);
    for (uint32_t c = 1; c < b->team->chunks; c++)
        most = fmax(most, cut_bytes(b, b->team->bound[c]));
    return fmax(most, b->best[n / 4]);
}

/* The slowest chunk is not the slowest stage: cuts are moved one by one until that helps no more.
 * */
static void even_stages(struct balance *b)
{
    double most = cheap_cut(b);

    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        bool moved = false;

        for (uint32_t c = 1; c < b->team->chunks; c++)
            moved |= move_cut(b, c, most);
        if (!moved)
            return;
    }
}

enum plb_status plb__team_balance(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem,
                                  struct plb__team *team)
{
    struct balance b = {.jobs = jobs, .problem = problem, .team = team};
    size_t cells = ((size_t)team->chunks + 1) * ((size_t)jobs->positions + 1);
    enum plb_status status;

    if (team->chunks > jobs->positions)
        return plb_fail(PLB_ERROR_INVALID, "%u stages of %u chunks each are more than the %u "
                        "layers of the model (tasks of a forward pass): take fewer stages",
                        team->stages, team->chunks / team->stages, jobs->positions);
    b.best = malloc(cells * sizeof *b.best);
    b.from = malloc(cells * sizeof *b.from);
    status = b.best && b.from ? find_loads(jobs, problem, &b.loads)
                              : plb_fail(PLB_ERROR_MEMORY, "no memory to divide %u positions",
                                         jobs->positions);
    if (status == PLB_OK)
        least_bytes(&b, least_bottleneck(&b) * SLACK);
    if (status == PLB_OK && team->chunks > team->stages)
        even_stages(&b);
    free(b.best);
    free(b.from);
    free(b.loads.sum);
    return status;
}

/* ---- the pipeline ---- */

void plb__team_pipeline_clear(struct plb__team_pipeline *pipeline)
{
    free(pipeline->room);
    *pipeline = (struct plb__team_pipeline){0};
}

static double sum_range(const double *each, uint32_t from, uint32_t to)
{
    double sum = 0;

    for (uint32_t i = from; i < to; i++)
        sum += each[i];
    return sum;
}

/* Seconds from a chunk to the one before or after it. */
static double travel(const struct plb_parallel_problem *problem, const struct plb__team *team,
                     uint32_t from, uint32_t to, double bytes)
{
    return bytes > 0 ? plb_places_seconds(problem->places, first_place(team, from),
                                          first_place(team, to), (size_t)bytes)
                     : 0;
}

/* Bytes that are left on the places of a stage beside parameters, state and gradients; HUGE_VAL:
 * there is no limit. */
static double left_of_budget(const struct plb__jobs *jobs,
                             const struct plb_parallel_problem *problem,
                             const struct plb__team *team, uint32_t stage)
{
    double left = HUGE_VAL, fixed = 0;

    for (uint32_t k = team->in_stage[stage]; problem->budget && k < team->in_stage[stage + 1]; k++)
        if (problem->budget[team->place[k]] < SIZE_MAX)
            left = fmin(left, (double)problem->budget[team->place[k]]);
    for (uint32_t c = 0; c < team->chunks; c++)
        if (team->stage_of[c] == stage)
            fixed += sum_range(jobs->fixed, team->bound[c], team->bound[c + 1]);
    return left - fixed / divisor(jobs, team, stage);
}

static void set_capacities(const struct plb__jobs *jobs,
                           const struct plb_parallel_problem *problem,
                           const struct plb__team *team, double in_flight,
                           const struct plb__pipeline *pipeline, double *capacity)
{
    for (uint32_t s = 0; s < team->stages; s++) {
        double one = 0, left = left_of_budget(jobs, problem, team, s);

        for (uint32_t c = 0; c < team->chunks; c++)
            if (team->stage_of[c] == s)
                one += pipeline->held[c];
        capacity[s] = left < HUGE_VAL ? fmax(one, left) : in_flight * team->stages * one;
    }
}

static void fill(const struct plb__jobs *jobs, const struct plb_parallel_problem *problem,
                 const struct plb__team *team, const struct loads *loads, double *room,
                 struct plb__pipeline *pipeline)
{
    uint32_t n = team->chunks;
    double *forward = room + 3 * n, *backward = room + 4 * n, *held = room + 5 * n;
    double *held_w = room + 6 * n;

    for (uint32_t c = 0; c < n; c++) {
        uint32_t from = team->bound[c], to = team->bound[c + 1];
        double divided = divisor(jobs, team, team->stage_of[c]);

        for (uint32_t job = 0; job < PLB__JOB_KINDS; job++)
            room[job * n + c] = load(loads, jobs, problem, team, c, (int)job, from, to);
        forward[c] = c + 1 == n ? 0 : travel(problem, team, c, c + 1, jobs->forward[to]);
        backward[c] = c == 0 ? 0 : travel(problem, team, c, c - 1, jobs->backward[from]);
        held_w[c] = sum_range(jobs->held_w, from, to) / divided;
        held[c] = fmax(held_w[c], sum_range(jobs->held, from, to) / divided);
    }
    for (uint32_t job = 0; job < PLB__JOB_KINDS; job++)
        pipeline->seconds[job] = room + job * n;
    pipeline->travel_forward = forward;
    pipeline->travel_backward = backward;
    pipeline->held = held;
    pipeline->held_w = held_w;
}

static enum plb_status check_ways(const struct plb_parallel_problem *problem,
                                  const struct plb__team *team,
                                  const struct plb__pipeline *pipeline)
{
    for (uint32_t c = 0; c < team->chunks; c++)
        if (pipeline->travel_forward[c] == HUGE_VAL || pipeline->travel_backward[c] == HUGE_VAL)
            return plb_fail(PLB_ERROR_INVALID, "there is no way from stage %u, at %s, to a "
                            "stage beside it", team->stage_of[c],
                            plb_places_at(problem->places, first_place(team, c))->name);
    return PLB_OK;
}

enum plb_status plb__team_pipeline(const struct plb__jobs *jobs,
                                   const struct plb_parallel_problem *problem,
                                   const struct plb__team *team, bool fused, double in_flight,
                                   struct plb__team_pipeline *pipeline_out)
{
    size_t n = 7 * (size_t)team->chunks + team->stages;
    struct plb__team_pipeline out = {.room = malloc(n * sizeof *out.room)};
    struct loads loads = {0};
    enum plb_status status = out.room ? find_loads(jobs, problem, &loads)
                                      : plb_fail(PLB_ERROR_MEMORY, "no memory for a pipeline");

    if (status != PLB_OK) {
        plb__team_pipeline_clear(&out);
        return status;
    }
    out.pipeline.stages = team->stages;
    out.pipeline.chunks = team->chunks;
    out.pipeline.micro_batches = team->end - team->first;
    out.pipeline.stage_of = team->stage_of;
    out.pipeline.fused = fused;
    fill(jobs, problem, team, &loads, out.room, &out.pipeline);
    free(loads.sum);
    status = check_ways(problem, team, &out.pipeline);
    if (status != PLB_OK) {
        plb__team_pipeline_clear(&out);
        return status;
    }
    if (in_flight > 0) {
        double *capacity = out.room + 7 * (size_t)team->chunks;

        set_capacities(jobs, problem, team, in_flight, &out.pipeline, capacity);
        out.pipeline.capacity = capacity;
    }
    *pipeline_out = out;
    return PLB_OK;
}
