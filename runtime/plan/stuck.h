/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions that wait for each other for ever. Not installed.
 */
#ifndef PLB_PLAN_STUCK_H
#define PLB_PLAN_STUCK_H

#include "runtime/plan/play.h"

/* `order` as it is when nothing more can start and not all has ended. PLB_ERROR_INVALID, with two
 * instructions of a circle in the message, at different places where there are such; or
 * PLB_ERROR_MEMORY. */
enum plb_status plb__stuck(const struct plb__cast *cast, const struct plb__order *order);

#endif
