/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes a tokenizer from the text of a tokenizer.json: see tokenizer.h for what is understood. */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "frontends/formats/tokenizer_internal.h"
#include "runtime/base/hash.h"

enum {
    TOKENIZER_BYTES_MAX = 128 * 1024 * 1024,
    COMPANION_BYTES_MAX = 16 * 1024 * 1024,
    HOLES_MAX = 65536, /* numbers below the largest one that are no token */
};

static enum plb_status no_memory(const char *file)
{
    return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its tokens", file);
}

/* --- tokens -------------------------------------------------------------------------------------
 */

/* Adds token `id`, whose `count` bytes stand at the end of the tokenizer's bytes. */
static enum plb_status add_token(plb_tokenizer_t *tokenizer, const char *file, size_t limit,
                                 size_t id, size_t count)
{
    if (id >= limit)
        return plb_fail(PLB_ERROR_FORMAT, "%s: token %zu is far beyond the number of tokens", file,
                        id);
    if (tokenizer->tokens[id].present)
        return plb_fail(PLB_ERROR_FORMAT, "%s: number %zu is given to two tokens", file, id);
    tokenizer->tokens[id] = (struct plb__token){
        .offset = tokenizer->byte_count, .count = (uint32_t)count, .present = true};
    tokenizer->byte_count += count;
    if (id >= tokenizer->vocab)
        tokenizer->vocab = id + 1;
    return PLB_OK;
}

static size_t word_slot(const plb_tokenizer_t *tokenizer, const unsigned char *bytes, size_t count)
{
    return (size_t)plb_hash_bytes(bytes, count) & (tokenizer->word_slots - 1);
}

static bool token_equals(const plb_tokenizer_t *tokenizer, int32_t id, const unsigned char *bytes,
                         size_t count)
{
    const struct plb__token *token = &tokenizer->tokens[id];
    return token->count == count && memcmp(tokenizer->bytes + token->offset, bytes, count) == 0;
}

int32_t plb__tokenizer_word(const plb_tokenizer_t *tokenizer, const unsigned char *bytes,
                            size_t count)
{
    size_t slot = word_slot(tokenizer, bytes, count);
    while (tokenizer->words[slot] >= 0 &&
           !token_equals(tokenizer, tokenizer->words[slot], bytes, count))
        slot = (slot + 1) & (tokenizer->word_slots - 1);
    return tokenizer->words[slot];
}

static void add_word(plb_tokenizer_t *tokenizer, int32_t id)
{
    const struct plb__token *token = &tokenizer->tokens[id];
    size_t slot = word_slot(tokenizer, tokenizer->bytes + token->offset, token->count);
    while (tokenizer->words[slot] >= 0)
        slot = (slot + 1) & (tokenizer->word_slots - 1);
    tokenizer->words[slot] = id;
}

/* Room for `limit` numbers, for the bytes of all tokens, and for `words` words. */
static enum plb_status reserve_tokens(plb_tokenizer_t *tokenizer, const char *file, size_t limit,
                                      size_t words)
{
    tokenizer->word_slots = 2;
    while (tokenizer->word_slots < 2 * words)
        tokenizer->word_slots *= 2;
    tokenizer->tokens = calloc(limit, sizeof *tokenizer->tokens);
    tokenizer->words = malloc(tokenizer->word_slots * sizeof *tokenizer->words);
    /* Each token's bytes stand in the text, there at least as long. */
    tokenizer->bytes = malloc(tokenizer->source_bytes + 1);
    if (tokenizer->tokens == NULL || tokenizer->words == NULL || tokenizer->bytes == NULL)
        return no_memory(file);
    for (size_t i = 0; i < tokenizer->word_slots; i++)
        tokenizer->words[i] = -1;
    return PLB_OK;
}

/* --- model --------------------------------------------------------------------------------------
 */

/* A name that is not written in the alphabet of bytes can never be the result of merging. */
static enum plb_status parse_vocab_entry(plb_tokenizer_t *tokenizer, const char *file, size_t limit,
                                         const char *key, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: the number of token \"%.100s\" is not one", file,
                        key);
    if ((uint64_t)json_integer_value(value) >= limit)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: token \"%.100s\" has number %" PRId64
                        ", far beyond the number of tokens",
                        file, key, (int64_t)json_integer_value(value));
    size_t id = (size_t)json_integer_value(value);
    unsigned char *bytes = tokenizer->bytes + tokenizer->byte_count;
    size_t count = 0;
    bool mergeable = plb__bytes_of_characters(key, bytes, &count) && count > 0;
    if (!mergeable) {
        count = strlen(key);
        memcpy(bytes, key, count);
    }
    PLB_TRY(add_token(tokenizer, file, limit, id, count));
    if (mergeable)
        add_word(tokenizer, (int32_t)id);
    if (mergeable && count == 1)
        tokenizer->bpe.byte_token[bytes[0]] = (int32_t)id;
    return PLB_OK;
}

static enum plb_status parse_vocab(plb_tokenizer_t *tokenizer, const char *file,
                                   const json_t *vocab, size_t added)
{
    size_t limit = json_object_size(vocab) + added + HOLES_MAX;
    PLB_TRY(reserve_tokens(tokenizer, file, limit, json_object_size(vocab)));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
        PLB_TRY(parse_vocab_entry(tokenizer, file, limit, key, value));
    return PLB_OK;
}

/* The two parts of "a b". They contain no space of their own, as the alphabet has none. */
static bool cut_merge(const char *text, char **left_out, const char **right_out)
{
    const char *space = strchr(text, ' ');
    if (space == NULL || space == text || space[1] == '\0' || strchr(space + 1, ' ') != NULL)
        return false;
    *left_out = strndup(text, (size_t)(space - text));
    *right_out = space + 1;
    return *left_out != NULL;
}

static enum plb_status add_merge(plb_tokenizer_t *tokenizer, const struct plb_json_object *model,
                                 const json_t *vocab, uint32_t rank, const char *left,
                                 const char *right)
{
    size_t bytes = strlen(left) + strlen(right) + 1;
    char *whole = malloc(bytes);
    if (whole == NULL)
        return no_memory(model->file);
    strcpy(whole, left);
    strcat(whole, right);
    const json_t *a = json_object_get(vocab, left), *b = json_object_get(vocab, right);
    const json_t *c = json_object_get(vocab, whole);
    free(whole);
    if (a == NULL || b == NULL || c == NULL)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: merge %u of \"%.100s\" and \"%.100s\" is not in the vocabulary",
                        model->file, rank, left, right);
    plb__bpe_add(&tokenizer->bpe, (int32_t)json_integer_value(a), (int32_t)json_integer_value(b),
                 rank, (int32_t)json_integer_value(c));
    return PLB_OK;
}

static enum plb_status parse_merge(plb_tokenizer_t *tokenizer, const struct plb_json_object *model,
                                   const json_t *vocab, uint32_t rank, const json_t *item)
{
    const char *left = json_string_value(json_array_get(item, 0));
    const char *right = json_string_value(json_array_get(item, 1));
    if (json_array_size(item) == 2 && left != NULL && right != NULL)
        return add_merge(tokenizer, model, vocab, rank, left, right);
    char *cut = NULL;
    if (!json_is_string(item) || !cut_merge(json_string_value(item), &cut, &right))
        return plb_fail(PLB_ERROR_FORMAT, "%s: merge %u is neither \"a b\" nor [\"a\", \"b\"]",
                        model->file, rank);
    enum plb_status status = add_merge(tokenizer, model, vocab, rank, cut, right);
    free(cut);
    return status;
}

static enum plb_status parse_merges(plb_tokenizer_t *tokenizer, const struct plb_json_object *model,
                                    const json_t *vocab)
{
    const json_t *merges = NULL;
    PLB_TRY(plb_json_require(model, "merges"));
    PLB_TRY(plb_json_array(model, "merges", &merges));
    size_t count = json_array_size(merges);
    if (count == 0)
        return PLB_OK;
    PLB_TRY(plb__bpe_reserve(&tokenizer->bpe, count));
    for (size_t i = 0; i < count; i++)
        PLB_TRY(parse_merge(tokenizer, model, vocab, (uint32_t)i, json_array_get(merges, i)));
    return PLB_OK;
}

/* Variants of the model that would give other tokens. */
static enum plb_status refuse_variants(const struct plb_json_object *model)
{
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = "BPE";
    double dropout = 0.0;
    bool byte_fallback = false;
    PLB_TRY(plb_json_string(model, "type", &type));
    if (strcmp(type, "BPE") != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: tokenizer model \"%.50s\" is not supported",
                        model->file, type);
    PLB_TRY(plb_json_real(model, "dropout", 0.0, 1.0, &dropout));
    PLB_TRY(plb_json_boolean(model, "byte_fallback", &byte_fallback));
    if (dropout > 0.0 || byte_fallback)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is not supported", model->file,
                        byte_fallback ? "byte_fallback" : "dropout");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = "";
        PLB_TRY(plb_json_string(model, texts[i], &text));
        if (text[0] != '\0')
            return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is not supported", model->file, texts[i]);
    }
    return PLB_OK;
}

static enum plb_status parse_unknown(plb_tokenizer_t *tokenizer,
                                     const struct plb_json_object *model, const json_t *vocab)
{
    const char *unknown = NULL;
    PLB_TRY(plb_json_string(model, "unk_token", &unknown));
    PLB_TRY(plb_json_boolean(model, "fuse_unk", &tokenizer->bpe.fuse_unknown));
    const json_t *id = unknown != NULL ? json_object_get(vocab, unknown) : NULL;
    if (id != NULL)
        tokenizer->bpe.unknown = (int32_t)json_integer_value(id);
    return PLB_OK;
}

static enum plb_status parse_model(plb_tokenizer_t *tokenizer, const struct plb_json_object *file)
{
    struct plb_json_object model = {NULL, file->file}, vocab = {NULL, file->file};
    const json_t *added = NULL;
    PLB_TRY(plb_json_require(file, "model"));
    PLB_TRY(plb_json_child(file, "model", &model));
    PLB_TRY(refuse_variants(&model));
    PLB_TRY(plb_json_boolean(&model, "ignore_merges", &tokenizer->bpe.ignore_merges));
    PLB_TRY(plb_json_require(&model, "vocab"));
    PLB_TRY(plb_json_child(&model, "vocab", &vocab));
    PLB_TRY(plb_json_array(file, "added_tokens", &added));
    PLB_TRY(parse_vocab(tokenizer, file->file, vocab.json, json_array_size(added)));
    PLB_TRY(parse_unknown(tokenizer, &model, vocab.json));
    return parse_merges(tokenizer, &model, vocab.json);
}

/* --- added tokens -------------------------------------------------------------------------------
 */

/* An added token is in the vocabulary already, under the same name, or gets a number of its own. */
static enum plb_status enter_added(plb_tokenizer_t *tokenizer, const struct plb_json_object *file,
                                   const json_t *vocab, size_t limit,
                                   const struct plb__added_token *added)
{
    const json_t *known = json_object_get(vocab, added->text);
    size_t id = (size_t)added->token;
    if (known != NULL && json_integer_value(known) != added->token)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: added token \"%.100s\" has number %zu, but %" PRId64
                        " in the vocabulary",
                        file->file, added->text, id, (int64_t)json_integer_value(known));
    if (known == NULL) {
        memcpy(tokenizer->bytes + tokenizer->byte_count, added->text, added->bytes);
        PLB_TRY(add_token(tokenizer, file->file, limit, id, added->bytes));
    }
    tokenizer->tokens[id].special = added->special;
    return PLB_OK;
}

static enum plb_status parse_added(plb_tokenizer_t *tokenizer, const struct plb_json_object *file)
{
    const json_t *vocab = json_object_get(json_object_get(file->json, "model"), "vocab");
    PLB_TRY(plb__added_parse(file, tokenizer->added));
    size_t limit = json_object_size(vocab) + HOLES_MAX;
    limit += tokenizer->added[0].count + tokenizer->added[1].count;
    for (int set = 0; set < 2; set++) {
        for (size_t i = 0; i < tokenizer->added[set].count; i++)
            PLB_TRY(enter_added(tokenizer, file, vocab, limit, &tokenizer->added[set].tokens[i]));
    }
    return PLB_OK;
}

/* --- what stands around a text ------------------------------------------------------------------
 */

/* Appends the numbers of a special token of the template. */
static enum plb_status add_template_token(plb_tokenizer_t *tokenizer,
                                          const struct plb_json_object *processor, const char *name,
                                          bool before)
{
    struct plb_json_object all = {NULL, processor->file}, token = {NULL, processor->file};
    const json_t *ids = NULL;
    PLB_TRY(plb_json_child(processor, "special_tokens", &all));
    PLB_TRY(plb_json_require(&all, name));
    PLB_TRY(plb_json_child(&all, name, &token));
    PLB_TRY(plb_json_require(&token, "ids"));
    PLB_TRY(plb_json_array(&token, "ids", &ids));
    int32_t *list = before ? tokenizer->before : tokenizer->after;
    size_t *count = before ? &tokenizer->before_count : &tokenizer->after_count;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        const char *bytes;
        size_t length;
        if (*count == PLB__TEMPLATE_TOKENS_MAX)
            return plb_fail(PLB_ERROR_FORMAT, "%s: its template has more than %d tokens",
                            processor->file, PLB__TEMPLATE_TOKENS_MAX);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX ||
            !plb_tokenizer_token_bytes(tokenizer, (int32_t)json_integer_value(id), &bytes, &length))
            return plb_fail(PLB_ERROR_FORMAT, "%s: \"%.100s\" in its template is no token",
                            processor->file, name);
        list[(*count)++] = (int32_t)json_integer_value(id);
    }
    return PLB_OK;
}

/* "single": a list of {"SpecialToken": {"id": NAME}} around one {"Sequence": {"id": "A"}}. */
static enum plb_status parse_template(plb_tokenizer_t *tokenizer,
                                      const struct plb_json_object *processor)
{
    const json_t *list = NULL;
    PLB_TRY(plb_json_require(processor, "single"));
    PLB_TRY(plb_json_array(processor, "single", &list));
    int texts = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct plb_json_object item = {json_array_get(list, i), processor->file};
        struct plb_json_object token = {NULL, processor->file};
        const char *name = NULL;
        PLB_TRY(plb_json_child(&item, "SpecialToken", &token));
        PLB_TRY(plb_json_string(&token, "id", &name));
        if (name != NULL)
            PLB_TRY(add_template_token(tokenizer, processor, name, texts == 0));
        else
            texts++;
    }
    if (texts != 1)
        return plb_fail(PLB_ERROR_FORMAT, "%s: its template has the text %d times", processor->file,
                        texts);
    return PLB_OK;
}

static enum plb_status parse_processor(plb_tokenizer_t *tokenizer,
                                       const struct plb_json_object *processor)
{
    const char *type = "ByteLevel";
    PLB_TRY(plb_json_string(processor, "type", &type));
    if (strcmp(type, "ByteLevel") == 0) /* moves offsets, which are not given here */
        return PLB_OK;
    if (strcmp(type, "TemplateProcessing") == 0)
        return parse_template(tokenizer, processor);
    return plb_fail(PLB_ERROR_FORMAT, "%s: post-processor \"%.50s\" is not supported",
                    processor->file, type);
}

static enum plb_status parse_post_processor(plb_tokenizer_t *tokenizer,
                                            const struct plb_json_object *file)
{
    struct plb_json_object processor = {NULL, file->file};
    const char *type = "";
    const json_t *list = NULL;
    PLB_TRY(plb_json_child(file, "post_processor", &processor));
    PLB_TRY(plb_json_string(&processor, "type", &type));
    if (strcmp(type, "Sequence") != 0)
        return parse_processor(tokenizer, &processor);
    PLB_TRY(plb_json_array(&processor, "processors", &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct plb_json_object item = {json_array_get(list, i), file->file};
        PLB_TRY(parse_processor(tokenizer, &item));
    }
    return PLB_OK;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static enum plb_status refuse_other_parts(const struct plb_json_object *file)
{
    struct plb_json_object part = {NULL, file->file};
    const json_t *list = NULL;
    const char *type = "";
    PLB_TRY(plb_json_child(file, "normalizer", &part));
    PLB_TRY(plb_json_string(&part, "type", &type));
    PLB_TRY(plb_json_array(&part, "normalizers", &list));
    if (part.json != NULL && (strcmp(type, "Sequence") != 0 || json_array_size(list) > 0))
        return plb_fail(PLB_ERROR_FORMAT, "%s: normalizer \"%.50s\" is not supported", file->file,
                        type);
    type = "ByteLevel";
    PLB_TRY(plb_json_child(file, "decoder", &part));
    PLB_TRY(plb_json_string(&part, "type", &type));
    if (strcmp(type, "ByteLevel") != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: decoder \"%.50s\" is not supported", file->file,
                        type);
    return PLB_OK;
}

static enum plb_status parse_root(plb_tokenizer_t *tokenizer, const struct plb_json_object *file)
{
    PLB_TRY(refuse_other_parts(file));
    PLB_TRY(plb__splitter_parse(file, &tokenizer->splitter));
    PLB_TRY(parse_model(tokenizer, file));
    PLB_TRY(parse_added(tokenizer, file));
    return parse_post_processor(tokenizer, file);
}

/* Parses the tokenizer's own source. */
static enum plb_status parse_source(plb_tokenizer_t *tokenizer, const char *name)
{
    json_t *root = NULL;
    PLB_TRY(plb_json_parse(tokenizer->source, tokenizer->source_bytes, name, &root));
    struct plb_json_object file = {root, name};
    enum plb_status status = parse_root(tokenizer, &file);
    json_decref(root);
    return status;
}

/* Makes a tokenizer of `source`, which it takes over, also on failure. */
static enum plb_status make(char *source, size_t bytes, const char *name,
                            plb_tokenizer_t **tokenizer_out)
{
    plb_tokenizer_t *tokenizer = calloc(1, sizeof *tokenizer);
    if (tokenizer == NULL) {
        free(source);
        return no_memory(name);
    }
    tokenizer->source = source;
    tokenizer->source_bytes = bytes;
    tokenizer->bpe.unknown = -1;
    for (int i = 0; i < 256; i++)
        tokenizer->bpe.byte_token[i] = -1;
    enum plb_status status = parse_source(tokenizer, name);
    if (status != PLB_OK) {
        plb_tokenizer_free(tokenizer);
        return status;
    }
    *tokenizer_out = tokenizer;
    return PLB_OK;
}

enum plb_status plb_tokenizer_parse(const char *text, size_t bytes, const char *name,
                                    plb_tokenizer_t **tokenizer_out)
{
    char *copy = malloc(bytes + 1);
    if (copy == NULL)
        return no_memory(name);
    if (bytes > 0)
        memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return make(copy, bytes, name, tokenizer_out);
}

static enum plb_status load_file(const char *path, plb_tokenizer_t **tokenizer_out)
{
    char *text = NULL;
    size_t bytes = 0;
    PLB_TRY(plb_file_read(path, TOKENIZER_BYTES_MAX, &text, &bytes));
    return make(text, bytes, path, tokenizer_out);
}

/* Reads DIRECTORY/NAME if it is there. */
static enum plb_status load_companion(const char *directory, const char *name, char **text_out)
{
    char *path = NULL;
    size_t bytes = 0;
    if (!plb_file_exists_in(directory, name))
        return PLB_OK;
    PLB_TRY(plb_file_join(directory, name, &path));
    enum plb_status status = plb_file_read(path, COMPANION_BYTES_MAX, text_out, &bytes);
    free(path);
    return status;
}

enum plb_status plb_tokenizer_load(const char *path, plb_tokenizer_t **tokenizer_out)
{
    if (!plb_file_is_directory(path))
        return load_file(path, tokenizer_out);
    char *inner = NULL;
    plb_tokenizer_t *tokenizer = NULL;
    PLB_TRY(plb_file_join(path, "tokenizer.json", &inner));
    enum plb_status status = load_file(inner, &tokenizer);
    free(inner);
    if (status == PLB_OK)
        status = load_companion(path, "tokenizer_config.json", &tokenizer->config);
    if (status == PLB_OK)
        status = load_companion(path, "special_tokens_map.json", &tokenizer->special_map);
    if (status != PLB_OK) {
        plb_tokenizer_free(tokenizer);
        return status;
    }
    *tokenizer_out = tokenizer;
    return PLB_OK;
}

void plb_tokenizer_free(plb_tokenizer_t *tokenizer)
{
    if (tokenizer == NULL)
        return;
    plb__bpe_free(&tokenizer->bpe);
    plb__splitter_free(&tokenizer->splitter);
    plb__added_free(&tokenizer->added[0]);
    plb__added_free(&tokenizer->added[1]);
    free(tokenizer->tokens);
    free(tokenizer->bytes);
    free(tokenizer->words);
    free(tokenizer->source);
    free(tokenizer->config);
    free(tokenizer->special_map);
    free(tokenizer);
}
