/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokenizers of our own, and saving. What is made here is first a tokenizer.json, which then is
 * read like any other: what is saved is what was used.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "frontends/formats/tokenizer_internal.h"

enum { BYTES = 256 };

static enum plb_status no_memory(void)
{
    return plb_fail(PLB_ERROR_MEMORY, "no memory to make a tokenizer");
}

/* The strings of the tokens, as they are built from the bytes up. */
struct names {
    char **text;
    size_t count;
};

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->text[i]);
    free(names->text);
}

static enum plb_status name_tokens(const unsigned char byte_order[BYTES],
                                   const struct plb__made_merge *merges, size_t merge_count,
                                   struct names *names)
{
    names->text = calloc(BYTES + merge_count, sizeof *names->text);
    if (names->text == NULL)
        return no_memory();
    for (; names->count < BYTES; names->count++) {
        char text[3];
        plb__characters_of_bytes(&byte_order[names->count], 1, text);
        names->text[names->count] = strdup(text);
        if (names->text[names->count] == NULL)
            return no_memory();
    }
    for (size_t i = 0; i < merge_count; i++) {
        if ((size_t)merges[i].token < names->count)
            continue; /* another way to an older token */
        char **text = &names->text[names->count];
        if (asprintf(text, "%s%s", names->text[merges[i].left], names->text[merges[i].right]) < 0)
            return no_memory();
        names->count++;
    }
    return PLB_OK;
}

static bool add_vocab(json_t *vocab, const struct names *names)
{
    bool added = true;
    for (size_t i = 0; added && i < names->count; i++)
        added = json_object_set_new(vocab, names->text[i], json_integer((json_int_t)i)) == 0;
    return added &&
           json_object_set_new(vocab, PLB_END_OF_TEXT, json_integer((json_int_t)names->count)) == 0;
}

static bool add_merges(json_t *list, const struct names *names,
                       const struct plb__made_merge *merges, size_t count)
{
    bool added = true;
    for (size_t i = 0; added && i < count; i++)
        added = json_array_append_new(list, json_pack("[s, s]", names->text[merges[i].left],
                                                      names->text[merges[i].right])) == 0;
    return added;
}

/* {"type": "BPE", ...}; NULL without memory. */
static json_t *make_model(const struct names *names, const struct plb__made_merge *merges,
                          size_t count)
{
    json_t *vocab = json_object(), *list = json_array();
    if (vocab == NULL || list == NULL || !add_vocab(vocab, names) ||
        !add_merges(list, names, merges, count)) {
        json_decref(vocab);
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges", list);
}

/* {"type": "ByteLevel", ...}, the same for all three places; the reader of each takes what it
 * needs. */
static json_t *make_byte_level(bool split)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", (int)split);
}

static char *render(const struct names *names, const struct plb__made_merge *merges, size_t count,
                    bool split)
{
    json_t *root = json_pack(
        "{s:s, s:n, s:n, s:[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}], s:n, s:o, s:o, s:o, s:o}",
        "version", "1.0", "truncation", "padding", "added_tokens", "id", (int)names->count,
        "content", PLB_END_OF_TEXT, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
        "special", 1, "normalizer", "pre_tokenizer", make_byte_level(split), "post_processor",
        make_byte_level(split), "decoder", make_byte_level(split), "model",
        make_model(names, merges, count));
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

enum plb_status plb__tokenizer_build(const unsigned char byte_order[BYTES],
                                     const struct plb__made_merge *merges, size_t merge_count,
                                     bool split, plb_tokenizer_t **tokenizer_out)
{
    struct names names = {NULL, 0};
    enum plb_status status = name_tokens(byte_order, merges, merge_count, &names);
    char *text = status == PLB_OK ? render(&names, merges, merge_count, split) : NULL;
    free_names(&names);
    if (status != PLB_OK)
        return status;
    if (text == NULL)
        return no_memory();
    status = plb_tokenizer_parse(text, strlen(text), "the tokenizer made here", tokenizer_out);
    free(text);
    return status;
}

enum plb_status plb_tokenizer_make_bytes(plb_tokenizer_t **tokenizer_out)
{
    unsigned char order[BYTES];
    for (int i = 0; i < BYTES; i++)
        order[i] = (unsigned char)i;
    return plb__tokenizer_build(order, NULL, 0, false, tokenizer_out);
}

/* --- saving -------------------------------------------------------------------------------------
 */

static enum plb_status save_text(const char *directory, const char *name, const char *text,
                                 size_t bytes)
{
    char *path = NULL;
    PLB_TRY(plb_file_join(directory, name, &path));
    enum plb_status status = plb_file_write_atomic(path, text, bytes);
    free(path);
    return status;
}

static enum plb_status save_made_config(const plb_tokenizer_t *tokenizer, const char *directory)
{
    json_t *root = json_pack("{s:s, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "clean_up_tokenization_spaces", 0, "add_prefix_space", 0);
    bool built = root != NULL;
    if (built && plb_tokenizer_find(tokenizer, PLB_END_OF_TEXT) >= 0) {
        json_t *end =
            json_pack("{s:s, s:s}", "bos_token", PLB_END_OF_TEXT, "eos_token", PLB_END_OF_TEXT);
        built = end != NULL && json_object_update(root, end) == 0;
        json_decref(end);
    }
    char *path = NULL;
    enum plb_status status =
        built ? plb_file_join(directory, "tokenizer_config.json", &path) : no_memory();
    if (status == PLB_OK)
        status = plb_json_save(path, root);
    free(path);
    json_decref(root);
    return status;
}

enum plb_status plb_tokenizer_save(const plb_tokenizer_t *tokenizer, const char *directory)
{
    PLB_TRY(save_text(directory, "tokenizer.json", tokenizer->source, tokenizer->source_bytes));
    if (tokenizer->special_map != NULL)
        PLB_TRY(save_text(directory, "special_tokens_map.json", tokenizer->special_map,
                          strlen(tokenizer->special_map)));
    if (tokenizer->config == NULL)
        return save_made_config(tokenizer, directory);
    return save_text(directory, "tokenizer_config.json", tokenizer->config,
                     strlen(tokenizer->config));
}
