/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data that come with Palombe: JSON files that are called by name, FOLDER/NAME.json in the
 * folder that PALOMBE_DATA_DIR names, else in the installed data.
 *
 * Thread-safety: pure but for the environment.
 */
#ifndef PLB_BASE_DATA_H
#define PLB_BASE_DATA_H

#include "runtime/base/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a text is a path: it has a '/' or the ending ".json". */
bool plb_data_is_path(const char *text);

/* The path of what is called `name` in a folder ("costs"), to be freed. A path is left as it
 * is. PLB_ERROR_INVALID: an unknown name, with the known ones. */
enum plb_status plb_data_path(const char *folder, const char *name, char **path_out);

#ifdef __cplusplus
}
#endif

#endif
