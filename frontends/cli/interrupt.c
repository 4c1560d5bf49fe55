/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Being asked to stop: the first time it is noted, the second time it is obeyed at once.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void note(int number)
{
    static const char message[] = "\nstopping after this step; once more to stop at once\n";

    if (asked) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    asked = 1;
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
        asked = 1; /* nobody reads it: nothing else to do */
}

void cli_interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void)
{
    return asked != 0;
}
