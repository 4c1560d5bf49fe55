/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding and loading libpalombe_cuda.so.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/run/cuda_module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "libpalombe_cuda.so"

/* In the folder of this library, which in a build folder is the module's, too. */
static bool find_beside(char *path, size_t bytes)
{
    Dl_info here;
    const char *slash;

    if (!dladdr((void *)plb__cuda_module_load, &here) || !here.dli_fname)
        return false;
    slash = strrchr(here.dli_fname, '/');
    if (!slash)
        return false;
    snprintf(path, bytes, "%.*s/" FILE_NAME, (int)(slash - here.dli_fname), here.dli_fname);
    return access(path, R_OK) == 0;
}

static enum plb_status find_file(char *path, size_t bytes)
{
    const char *named = getenv("PALOMBE_CUDA_MODULE");

    if (named && *named) {
        snprintf(path, bytes, "%s", named);
        return PLB_OK;
    }
    snprintf(path, bytes, "%s/" FILE_NAME, PLB_MODULE_DIR);
    if (access(path, R_OK) == 0 || find_beside(path, bytes))
        return PLB_OK;
    return plb_fail(PLB_ERROR_UNAVAILABLE,
                    "CUDA cards need " FILE_NAME ", which is neither in " PLB_MODULE_DIR
                    " nor beside the library: build Palombe where the CUDA toolkit is "
                    "(./configure --with-cuda=yes), or name the file in PALOMBE_CUDA_MODULE");
}

static enum plb_status check(const char *path, const struct plb__cuda_module *module)
{
    static const uint32_t bytes[] = PLB__CUDA_MODULE_BYTES;

    if (!module)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "%s is not a module of Palombe's: it has no %s",
                        path, PLB__CUDA_SYMBOL);
    if (module->abi != PLB__CUDA_ABI)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "%s is of another Palombe: its interface has number %u, not %d", path,
                        module->abi, PLB__CUDA_ABI);
    if (memcmp(module->bytes, bytes, sizeof bytes) != 0)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "%s is of another Palombe: its records have other sizes", path);
    return PLB_OK;
}

static enum plb_status load(const char *path, const struct plb__cuda_module **module_out)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct plb__cuda_module *module;
    enum plb_status status;

    if (!library)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "the module for CUDA cards cannot be loaded: %s",
                        dlerror());
    module = dlsym(library, PLB__CUDA_SYMBOL);
    status = check(path, module);
    if (status != PLB_OK) {
        dlclose(library);
        return status;
    }
    *module_out = module;
    return PLB_OK;
}

enum plb_status plb__cuda_module_load(const struct plb__cuda_module **module_out)
{
    static const struct plb__cuda_module *loaded;
    char path[PATH_MAX];

    if (!loaded) {
        PLB_TRY(find_file(path, sizeof path));
        PLB_TRY(load(path, &loaded));
    }
    *module_out = loaded;
    return PLB_OK;
}
