/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: the input is a model.safetensors.index.json beside two good shards, "one" with
 * tensor "a" and "two" with tensor "b". What opens has no more than these, and they can be read.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/formats/safetensors.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "safetensors_index";

static char folder[64];

static void demand(int condition)
{
    if (!condition)
        abort();
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    demand(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void put_shard(const char *name, char tensor)
{
    char header[64], content[128] = {0};
    int length =
        snprintf(header, sizeof header,
                 "{\"%c\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", tensor);
    content[0] = (char)length;
    memcpy(content + 8, header, (size_t)length);
    content[8 + length] = tensor;
    put(name, content, 8 + (size_t)length + 1);
}

static void remove_folder(void)
{
    static const char *const names[] = {"one", "two", "x.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    rmdir(folder);
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/palombe-fuzz-XXXXXX");
    demand(mkdtemp(folder) != NULL);
    put_shard("one", 'a');
    put_shard("two", 'b');
    atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plb_safetensors_t *set = NULL;
    if (folder[0] == '\0')
        make_folder();
    put("x.index.json", data, size);
    if (plb_safetensors_open(path_of("x.index.json"), &set) != PLB_OK)
        return 0;
    size_t count = plb_safetensors_count(set);
    demand(count == 1 || count == 2);
    for (size_t i = 0; i < count; i++) {
        const struct plb_stored_tensor *tensor = plb_safetensors_at(set, i);
        int32_t value = 0;
        demand(plb_safetensors_read(set, tensor, 0, 1, PLB_STORED_I32, &value) == PLB_OK);
        demand(value == tensor->name[0]);
    }
    plb_safetensors_close(set);
    return 0;
}
