/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pictures of graphs through Graphviz, as a program: no library is linked for it.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Waits for the child; false when it took too long (it is then ended) or failed. */
static bool finishes(pid_t child, int seconds)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    double end = cli_seconds() + seconds;
    int state;

    for (;;) {
        pid_t done = waitpid(child, &state, WNOHANG);

        if (done == child)
            return WIFEXITED(state) && WEXITSTATUS(state) == 0;
        if (done < 0 && errno != EINTR)
            return false;
        if (cli_seconds() > end) {
            kill(child, SIGKILL);
            waitpid(child, &state, 0);
            return false;
        }
        nanosleep(&pause, NULL);
    }
}

static enum plb_status draw(const char *dot_path, const char *svg_path, int seconds)
{
    char *const argv[] = {"dot", "-Tsvg", "-o", (char *)svg_path, (char *)dot_path, NULL};
    pid_t child;
    int error = posix_spawnp(&child, "dot", NULL, NULL, argv, environ);

    if (error)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "'dot' of Graphviz cannot be run (%s): install the package graphviz",
                        strerror(error));
    if (finishes(child, seconds))
        return PLB_OK;
    return plb_fail(PLB_ERROR_UNAVAILABLE, "'dot' did not draw %s within %d seconds", dot_path,
                    seconds);
}

/* Drawn aside, so that a picture that is there stays when another one fails. */
enum plb_status cli_dot_to_svg(const char *dot_path, const char *svg_path, int seconds)
{
    char *aside = malloc(strlen(svg_path) + sizeof ".tmp");
    enum plb_status status;

    if (!aside)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %s", svg_path);
    sprintf(aside, "%s.tmp", svg_path);
    status = draw(dot_path, aside, seconds);
    if (status == PLB_OK && rename(aside, svg_path) != 0)
        status =
            plb_fail(PLB_ERROR_IO, "cannot put %s in its place: %s", svg_path, strerror(errno));
    if (status != PLB_OK)
        unlink(aside);
    free(aside);
    return status;
}
