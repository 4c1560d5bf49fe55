/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: the input is a safetensors file. When it opens, every element can be read. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontends/formats/safetensors.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "safetensors";

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* What was opened lies within the file, and mapping and reading agree. */
static void read_tensor(plb_safetensors_t *set, const struct plb_stored_tensor *tensor, size_t size)
{
    demand(tensor->offset <= size && tensor->bytes <= size - tensor->offset);
    demand(tensor->bytes == tensor->elements * plb_stored_dtype_bytes(tensor->dtype));
    demand(plb_safetensors_find(set, tensor->name) == tensor);
    double *read = malloc((tensor->elements + 1) * sizeof *read);
    double *mapped = malloc((tensor->elements + 1) * sizeof *mapped);
    const void *data = NULL;
    demand(read != NULL && mapped != NULL);
    demand(plb_safetensors_read(set, tensor, 0, tensor->elements, PLB_STORED_F64, read) == PLB_OK);
    demand(plb_safetensors_map(set, tensor, &data) == PLB_OK);
    demand(plb_stored_convert(tensor->dtype, data, PLB_STORED_F64, mapped, tensor->elements) ==
           PLB_OK);
    for (uint64_t i = 0; i < tensor->elements; i++)
        demand(read[i] == mapped[i] || (read[i] != read[i] && mapped[i] != mapped[i]));
    free(read);
    free(mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];
    plb_safetensors_t *set = NULL;
    demand(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (plb_safetensors_open(path, &set) == PLB_OK) {
        for (size_t i = 0; i < plb_safetensors_count(set); i++)
            read_tensor(set, plb_safetensors_at(set, i), size);
        plb_safetensors_close(set);
    }
    close(fd);
    return 0;
}
