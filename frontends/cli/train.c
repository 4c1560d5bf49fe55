/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe train: the loop over steps.
 */
#include "config.h"

#include "frontends/cli/train.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

/* Validation is measured this many times in a run, over this many batches. */
#define VALIDATIONS 10
#define VALIDATION_BATCHES 8

/* A model that is lost does not replace the one that was saved. */
static enum plb_status check_finite(const struct cli_run *run, double loss, const char *what)
{
    if (isfinite(loss))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "the %s of step %" PRIu64 " is not a number: try a smaller --learning-rate; "
                    "nothing was saved since the last checkpoint",
                    what, plb_trainer_steps(run->trainer));
}

static enum plb_status validate(struct cli_run *run)
{
    run->validation_loss = NAN;
    if (!run->validates)
        return PLB_OK;
    PLB_TRY(plb_pretrain_evaluate(run->pretrain, VALIDATION_BATCHES, &run->validation_loss));
    return check_finite(run, run->validation_loss, "validation");
}

static enum plb_status save(struct cli_run *run)
{
    PLB_TRY(plb_pretrain_save(run->pretrain, run->out));
    return cli_run_save_points(run);
}

static bool is_due(uint64_t step, uint64_t every)
{
    return every && step % every == 0;
}

static void show(struct cli_run *run, struct cli_progress *progress, uint64_t step)
{
    double rows = (double)(run->options.batch * run->options.sequence);
    char validation[40] = "";

    if (isfinite(run->validation_loss))
        snprintf(validation, sizeof validation, " (validation %.3f)", run->validation_loss);
    cli_progress_show(progress, run->last ? (double)step / (double)run->last : 1.0,
                      "step %" PRIu64 "/%" PRIu64 ", loss %.3f%s, %.0f tokens/s", step, run->last,
                      (double)run->loss, validation,
                      run->seconds > 0.0 ? rows * (double)run->steps / run->seconds : 0.0);
}

/* A step that cannot be taken (no plan keeps the budget now that the disk is full) leaves whole
 * ones behind it. Where a task has failed nothing can be saved. */
static enum plb_status save_rest(struct cli_run *run, enum plb_status status)
{
    uint64_t step = plb_trainer_steps(run->trainer);
    char why[512];

    snprintf(why, sizeof why, "%s", plb_error_message());
    if (run->steps > 0 && save(run) == PLB_OK)
        return plb_fail(status, "%s; step %" PRIu64 " is saved in %s, go on with --resume", why,
                        step, run->out);
    return plb_fail(status, "%s", why);
}

/* One step with all that hangs on it. */
static enum plb_status turn(struct cli_run *run, struct cli_progress *progress)
{
    uint64_t every = run->options.schedule.steps / VALIDATIONS;
    double start = cli_seconds();
    enum plb_status status;
    uint64_t step;

    if (plb_trainer_steps(run->trainer) + 1 == run->last)
        plb_session_trace(plb_trainer_session(run->trainer), true);
    status = plb_pretrain_step(run->pretrain);
    if (status != PLB_OK)
        return save_rest(run, status);
    PLB_TRY(plb_trainer_read(run->trainer, &run->loss, NULL));
    run->seconds += cli_seconds() - start;
    run->steps++;
    step = plb_trainer_steps(run->trainer);
    PLB_TRY(check_finite(run, (double)run->loss, "loss"));
    if (is_due(step, every ? every : 1) || step == run->last) {
        PLB_TRY(validate(run));
        PLB_TRY(cli_run_add_point(run, (double)step, (double)run->loss, run->validation_loss));
    } else {
        PLB_TRY(cli_run_add_point(run, (double)step, (double)run->loss, NAN));
    }
    show(run, progress, step);
    if (step < run->last && is_due(step, (uint64_t)plb_settings_integer(run->settings,
                                                                        OPTION_SAVE_EVERY)))
        PLB_TRY(save(run));
    return PLB_OK;
}

static enum plb_status loop(struct cli_run *run)
{
    bool quiet = plb_settings_switch(run->settings, OPTION_QUIET) ||
                 plb_settings_switch(run->settings, OPTION_JSON);
    struct cli_progress progress;
    enum plb_status status = PLB_OK;

    run->validation_loss = NAN;
    cli_progress_start(&progress, !quiet);
    while (status == PLB_OK && plb_trainer_steps(run->trainer) < run->last && !cli_interrupted())
        status = turn(run, &progress);
    cli_progress_end(&progress);
    PLB_TRY(status);
    PLB_TRY(save(run));
    if (plb_trainer_steps(run->trainer) < run->last)
        return plb_fail(PLB_ERROR_INTERRUPTED,
                        "interrupted; step %" PRIu64 " is saved in %s, go on with --resume",
                        plb_trainer_steps(run->trainer), run->out);
    return PLB_OK;
}

static enum plb_status train(struct cli_run *run)
{
    PLB_TRY(cli_run_prepare(run));
    cli_interrupt_catch();
    PLB_TRY(loop(run));
    PLB_TRY(cli_record_costs(run->settings, plb_trainer_session(run->trainer)));
    if (plb_settings_switch(run->settings, OPTION_PICTURES))
        PLB_TRY(cli_run_draw(run));
    return cli_run_report(run);
}

enum plb_status cli_train(const struct plb_settings *settings)
{
    struct cli_run run = {.settings = settings, .out = plb_settings_text(settings, OPTION_OUT)};
    enum plb_status status = train(&run);

    cli_run_clear(&run);
    if (status != PLB_OK && run.made_out)
        rmdir(run.out); /* fails, as it should, when something was saved there */
    return status;
}
