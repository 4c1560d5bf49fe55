/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The platform of a file of costs, which files of platforms (places_read.c) write alike. Not
 * installed: jansson's types show.
 */
#ifndef PLB_PLAN_COSTS_JSON_H
#define PLB_PLAN_COSTS_JSON_H

#include "runtime/base/json.h"
#include "runtime/plan/costs_internal.h"

/* Reads "name", "workers", "memory" and so on, and no other members. PLB_ERROR_FORMAT. */
enum plb_status plb__platform_read(const struct plb_json_object *object,
                                   struct plb_platform *platform);

#endif
