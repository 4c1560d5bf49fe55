/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pictures of a traced step: when each worker ran which task, and what moved meanwhile.
 */
#ifndef PLB_RUN_TIMELINE_H
#define PLB_RUN_TIMELINE_H

#include "runtime/run/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The latest traced step as an SVG: one lane per worker and per direction of a link that was used,
 * time to the right, bars coloured by what the task does, a legend with the share of each, the busy
 * share of each lane. Hovering a bar in a browser shows its task or the value that moved.
 * `text_out` is to be freed by the caller. */
enum plb_status plb_timeline_svg(plb_session_t *session, const char *title, char **text_out);

/* The same in the Trace Event Format as JSON, for Perfetto (ui.perfetto.dev) or chrome://tracing.
 */
enum plb_status plb_timeline_perfetto(plb_session_t *session, char **text_out);

#ifdef __cplusplus
}
#endif

#endif
