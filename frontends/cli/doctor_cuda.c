/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What palombe doctor says about CUDA cards: the driver, each card and its memory, and the link to
 * it, for which a runtime is started on the card for a moment.
 */
#include "config.h"

#include "frontends/cli/doctor.h"

#include "runtime/run/cuda_module.h"
#include "runtime/run/device.h"
#include "runtime/run/session.h"

#include <stdio.h>

/* More cards than that are counted, but not looked at. */
enum { CARDS_SHOWN = 4 };

static enum plb_status measure(int card, struct plb_platform *platform_out)
{
    char device[32];
    const struct plb_runtime_options options = {.device = device};
    enum plb_status status;

    snprintf(device, sizeof device, "cuda:%d", card);
    PLB_TRY(plb_runtime_start(&options));
    status = plb_runtime_platform(NULL, platform_out);
    plb_runtime_stop();
    return status;
}

static void check_card(struct report *report, const struct plb__cuda_module *module, int card)
{
    char all[32], unused[32], rates[96];
    struct plb__cuda_card found;
    struct plb_platform platform;
    enum plb_status status = module->cards->describe(card, &found);

    if (status == PLB_OK)
        status = measure(card, &platform);
    if (status != PLB_OK) {
        doctor_add(report, "card", WRONG, "%d: %s", card, plb_error_message());
        plb_error_clear();
        return;
    }
    doctor_print_link(&platform.link[PLB_HOST], rates, sizeof rates);
    doctor_add(report, "card", GOOD,
               "%d: %s, compute capability %d.%d, %d multiprocessors, %s of %s free; %s", card,
               found.name, found.capability / 10, found.capability % 10, found.multiprocessors,
               cli_print_bytes((double)found.free_bytes, unused, sizeof unused),
               cli_print_bytes((double)found.bytes, all, sizeof all), rates);
}

/* Why there are no cards: a driver that does not fit is to be mended. */
static void report_none(struct report *report, const struct plb__cuda_module *module)
{
    int driver, toolkit;
    struct finding *f;

    module->cards->versions(&driver, &toolkit);
    f = doctor_add(report, "CUDA", driver > 0 && driver < toolkit ? WRONG : ABSENT, "%s",
                   plb_error_message());
    if (f->state == WRONG)
        doctor_mend(f, "until then everything runs on the CPU");
    plb_error_clear();
}

void doctor_check_cuda(struct report *report)
{
    const struct plb__cuda_module *module;
    int driver, toolkit, n;

    if (plb__cuda_module_load(&module) != PLB_OK) {
        doctor_add(report, "CUDA", ABSENT, "%s", plb_error_message());
        plb_error_clear();
        return;
    }
    if (module->cards->count(&n) != PLB_OK) {
        report_none(report, module);
        return;
    }
    module->cards->versions(&driver, &toolkit);
    doctor_add(
        report, "CUDA", GOOD, "%d card%s, driver for CUDA %d.%d, kernels built with CUDA %d.%d", n,
        n == 1 ? "" : "s", driver / 1000, driver % 1000 / 10, toolkit / 1000, toolkit % 1000 / 10);
    for (int card = 0; card < n && card < CARDS_SHOWN; card++)
        check_card(report, module, card);
}
