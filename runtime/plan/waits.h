/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who must wait for whom in a layout whose offsets are set. Not installed.
 */
#ifndef PLB_PLAN_WAITS_H
#define PLB_PLAN_WAITS_H

#include "runtime/plan/layout.h"

/* Fills in_wait and wait. PLB_ERROR_MEMORY. */
enum plb_status plb__layout_find_waits(struct plb_layout *layout, uint32_t n_instructions);

#endif
