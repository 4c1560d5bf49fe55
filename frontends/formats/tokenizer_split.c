/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Splits text into words with the patterns of a tokenizer.json, run by PCRE2.
 *
 * Steps run one inside the other: each word of a step is the text of the next, so nothing is stored
 * but the place where each step is. A pattern sees its own stretch of text only, and its ends are
 * ends. Bytes that are not UTF-8 are kept away from the patterns: a stretch of them is a word.
 *
 * A pattern comes from outside: its length and nesting are bounded when it is compiled, the steps
 * and the memory of one match when it runs.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/formats/tokenizer_internal.h"
#include "frontends/formats/utf8.h"

/* The pattern of GPT-2: contractions; a word, a number or signs, each with the space before it;
 * white space, whose last character is left to the word that follows. */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

enum {
    PATTERN_BYTES_MAX = 16 * 1024,
    NESTING_MAX = 50,
    MATCH_STEPS_MIN = 1000000, /* steps that a match may take on a short text... */
    MATCH_STEPS_A_BYTE = 16,   /* ... and more for each of its bytes */
    MATCH_HEAP_KIB = 64 * 1024,
    JIT_STACK_MIN = 32 * 1024,
    JIT_STACK_MAX = 8 * 1024 * 1024,
};

/* --- making the steps ---------------------------------------------------------------------------
 */

static enum plb_status compile(const char *pattern, uint32_t extra_options, const char *file,
                               pcre2_code **code_out)
{
    size_t length = strlen(pattern);
    if (length > PATTERN_BYTES_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: a pattern has %zu bytes, more than the limit of %d",
                        file, length, PATTERN_BYTES_MAX);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its pattern", file);
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, length, extra_options, &error, &at, context);
    pcre2_compile_context_free(context);
    if (code == NULL) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(error, text, sizeof text);
        return plb_fail(error == PCRE2_ERROR_HEAP_FAILED ? PLB_ERROR_MEMORY : PLB_ERROR_FORMAT,
                        "%s: pattern \"%.200s\": %s", file, pattern, (const char *)text);
    }
    /* Faster where it can be had; where it cannot, the code is interpreted. */
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    *code_out = code;
    return PLB_OK;
}

/* \C would match a byte within a character. */
static const uint32_t REGEX_OPTIONS = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
static const uint32_t LITERAL_OPTIONS = PCRE2_UTF | PCRE2_LITERAL;

static enum plb_status new_step(struct plb__splitter *splitter, const char *file,
                                struct plb__split_step **step_out)
{
    if (splitter->count == PLB__SPLIT_STEPS_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: more than %d pre-tokenizers in sequence", file,
                        PLB__SPLIT_STEPS_MAX);
    *step_out = &splitter->steps[splitter->count++];
    **step_out = (struct plb__split_step){.keep = PLB__KEEP_ALL};
    return PLB_OK;
}

enum plb_status plb__splitter_add_gpt2(struct plb__splitter *splitter)
{
    struct plb__split_step *step = NULL;
    PLB_TRY(new_step(splitter, "GPT-2", &step));
    return compile(gpt2_pattern, REGEX_OPTIONS, "GPT-2", &step->pattern);
}

static enum plb_status parse_byte_level(const struct plb_json_object *object,
                                        struct plb__splitter *splitter)
{
    bool use_regex = true, prefix_space = false;
    PLB_TRY(plb_json_boolean(object, "use_regex", &use_regex));
    PLB_TRY(plb_json_boolean(object, "add_prefix_space", &prefix_space));
    struct plb__split_step *step = NULL;
    PLB_TRY(new_step(splitter, object->file, &step));
    step->prefix_space = prefix_space;
    if (!use_regex)
        return PLB_OK;
    return compile(gpt2_pattern, REGEX_OPTIONS, object->file, &step->pattern);
}

/* "pattern" is {"Regex": "..."} or {"String": "..."}. */
static enum plb_status parse_pattern(const struct plb_json_object *object,
                                     struct plb__split_step *step)
{
    struct plb_json_object pattern = {NULL, object->file};
    const char *regex = NULL, *literal = NULL;
    PLB_TRY(plb_json_require(object, "pattern"));
    PLB_TRY(plb_json_child(object, "pattern", &pattern));
    PLB_TRY(plb_json_string(&pattern, "Regex", &regex));
    PLB_TRY(plb_json_string(&pattern, "String", &literal));
    if (regex != NULL)
        return compile(regex, REGEX_OPTIONS, object->file, &step->pattern);
    if (literal != NULL)
        return compile(literal, LITERAL_OPTIONS, object->file, &step->pattern);
    return plb_fail(PLB_ERROR_FORMAT, "%s: \"pattern\" has neither \"Regex\" nor \"String\"",
                    object->file);
}

static enum plb_status parse_split(const struct plb_json_object *object,
                                   struct plb__splitter *splitter)
{
    const char *behavior = "Isolated";
    bool invert = false;
    PLB_TRY(plb_json_string(object, "behavior", &behavior));
    PLB_TRY(plb_json_boolean(object, "invert", &invert));
    struct plb__split_step *step = NULL;
    PLB_TRY(new_step(splitter, object->file, &step));
    if (strcmp(behavior, "Removed") == 0)
        step->keep = invert ? PLB__KEEP_MATCHES : PLB__KEEP_GAPS;
    else if (strcmp(behavior, "Isolated") != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: split behavior \"%.50s\" is not supported",
                        object->file, behavior);
    return parse_pattern(object, step);
}

/* One pre-tokenizer that is no sequence. */
static enum plb_status parse_step(const struct plb_json_object *object,
                                  struct plb__splitter *splitter, bool *byte_level)
{
    const char *type = NULL;
    PLB_TRY(plb_json_require(object, "type"));
    PLB_TRY(plb_json_string(object, "type", &type));
    if (*byte_level)
        return plb_fail(PLB_ERROR_FORMAT, "%s: a pre-tokenizer follows \"ByteLevel\"",
                        object->file);
    if (strcmp(type, "Split") == 0)
        return parse_split(object, splitter);
    if (strcmp(type, "ByteLevel") != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: pre-tokenizer \"%.50s\" is not supported",
                        object->file, type);
    *byte_level = true;
    return parse_byte_level(object, splitter);
}

static enum plb_status parse_sequence(const struct plb_json_object *object,
                                      struct plb__splitter *splitter, bool *byte_level)
{
    const json_t *list = NULL;
    PLB_TRY(plb_json_require(object, "pretokenizers"));
    PLB_TRY(plb_json_array(object, "pretokenizers", &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct plb_json_object item = {json_array_get(list, i), object->file};
        PLB_TRY(parse_step(&item, splitter, byte_level));
    }
    return PLB_OK;
}

enum plb_status plb__splitter_parse(const struct plb_json_object *file,
                                    struct plb__splitter *splitter)
{
    struct plb_json_object object = {NULL, file->file};
    const char *type = "";
    bool byte_level = false;
    PLB_TRY(plb_json_child(file, "pre_tokenizer", &object));
    PLB_TRY(plb_json_string(&object, "type", &type));
    if (strcmp(type, "Sequence") == 0)
        PLB_TRY(parse_sequence(&object, splitter, &byte_level));
    else if (object.json != NULL)
        PLB_TRY(parse_step(&object, splitter, &byte_level));
    if (!byte_level)
        return plb_fail(PLB_ERROR_FORMAT, "%s: it is no byte-level tokenizer", file->file);
    return PLB_OK;
}

void plb__splitter_free(struct plb__splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++)
        pcre2_code_free(splitter->steps[i].pattern);
}

/* --- running them -------------------------------------------------------------------------------
 */

static enum plb_status no_memory(void)
{
    return plb_fail(PLB_ERROR_MEMORY, "no memory to match a tokenizer's pattern");
}

enum plb_status plb__split_scratch_make(const struct plb__splitter *splitter,
                                        struct plb__split_scratch *scratch)
{
    *scratch = (struct plb__split_scratch){0};
    scratch->context = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
    bool made = scratch->context != NULL;
    for (size_t i = 0; made && i < splitter->count; i++) {
        scratch->matches[i] = pcre2_match_data_create(1, NULL);
        made = scratch->matches[i] != NULL;
    }
    if (!made) {
        plb__split_scratch_free(scratch);
        return no_memory();
    }
    pcre2_set_heap_limit(scratch->context, MATCH_HEAP_KIB);
    if (scratch->stack != NULL) /* there is none where there is no JIT */
        pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return PLB_OK;
}

void plb__split_scratch_free(struct plb__split_scratch *scratch)
{
    for (size_t i = 0; i < PLB__SPLIT_STEPS_MAX; i++)
        pcre2_match_data_free(scratch->matches[i]);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
}

/* Where a run is, for the recursion over steps. */
struct run {
    const struct plb__splitter *splitter;
    const struct plb__split_scratch *scratch;
    plb__word_function *take;
    void *user;
};

/* The next match at or after `from`; PCRE2's count or error. */
static int find_match(const struct run *run, size_t step, const unsigned char *text, size_t bytes,
                      size_t from)
{
    const pcre2_code *pattern = run->splitter->steps[step].pattern;
    pcre2_match_data *match = run->scratch->matches[step];
    int found =
        pcre2_match(pattern, text, bytes, from, PCRE2_NO_UTF_CHECK, match, run->scratch->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its state on the heap */
        found = pcre2_match(pattern, text, bytes, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match,
                            run->scratch->context);
    return found;
}

static enum plb_status match_failed(int error)
{
    PCRE2_UCHAR text[128];
    if (error == PCRE2_ERROR_NOMEMORY)
        return no_memory();
    pcre2_get_error_message(error, text, sizeof text);
    return plb_fail(PLB_ERROR_FORMAT, "the tokenizer's pattern cannot be matched on this text: %s",
                    (const char *)text);
}

static enum plb_status run_step(const struct run *run, size_t step, const unsigned char *text,
                                size_t bytes);

/* Hands the stretch before a match, and the match, to the next step. */
static enum plb_status hand_on(const struct run *run, size_t step, const unsigned char *gap,
                               size_t gap_bytes, size_t match_bytes)
{
    enum plb__split_keep keep = run->splitter->steps[step].keep;
    if (gap_bytes > 0 && keep != PLB__KEEP_MATCHES)
        PLB_TRY(run_step(run, step + 1, gap, gap_bytes));
    if (match_bytes > 0 && keep != PLB__KEEP_GAPS)
        PLB_TRY(run_step(run, step + 1, gap + gap_bytes, match_bytes));
    return PLB_OK;
}

static enum plb_status split_step(const struct run *run, size_t step, const unsigned char *text,
                                  size_t bytes)
{
    size_t done = 0, from = 0;
    while (from < bytes) {
        int found = find_match(run, step, text, bytes, from);
        if (found == PCRE2_ERROR_NOMATCH)
            break;
        if (found < 0)
            return match_failed(found);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(run->scratch->matches[step]);
        size_t begin = span[0], end = span[1];
        if (begin < done || end < begin) /* \K in a lookaround can do so */
            return plb_fail(PLB_ERROR_FORMAT, "the tokenizer's pattern matches backwards");
        PLB_TRY(hand_on(run, step, text + done, begin - done, end - begin));
        done = end;
        size_t width = 0;
        if (end == begin && end < bytes)
            plb__utf8_decode(text + end, &width); /* on to the next character */
        from = end + (end == begin ? (width > 0 ? width : 1) : 0);
    }
    return hand_on(run, step, text + done, bytes - done, 0);
}

/* The same with a space put before the text, which needs a copy. */
static enum plb_status run_prefixed(const struct run *run, size_t step, const unsigned char *text,
                                    size_t bytes)
{
    unsigned char *copy = malloc(bytes + 1);
    if (copy == NULL)
        return no_memory();
    copy[0] = ' ';
    memcpy(copy + 1, text, bytes);
    enum plb_status status = run->splitter->steps[step].pattern != NULL
                                 ? split_step(run, step, copy, bytes + 1)
                                 : run_step(run, step + 1, copy, bytes + 1);
    free(copy);
    return status;
}

static enum plb_status run_step(const struct run *run, size_t step, const unsigned char *text,
                                size_t bytes)
{
    if (step == run->splitter->count)
        return run->take(run->user, text, bytes);
    const struct plb__split_step *current = &run->splitter->steps[step];
    if (current->prefix_space && text[0] != ' ')
        return run_prefixed(run, step, text, bytes);
    if (current->pattern == NULL)
        return run_step(run, step + 1, text, bytes);
    return split_step(run, step, text, bytes);
}

/* The bytes at the start of `text` that are not UTF-8. */
static size_t invalid_prefix(const unsigned char *text, size_t bytes)
{
    size_t at = 0, length = 0;
    while (at < bytes && plb__utf8_next(text + at, bytes - at, &length) != PLB__UTF8_VALID)
        at += length;
    return at;
}

static void limit_steps(const struct plb__split_scratch *scratch, size_t bytes)
{
    uint64_t steps = MATCH_STEPS_MIN + MATCH_STEPS_A_BYTE * (uint64_t)bytes;
    pcre2_set_match_limit(scratch->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
}

enum plb_status plb__splitter_run(const struct plb__splitter *splitter,
                                  const struct plb__split_scratch *scratch,
                                  const unsigned char *text, size_t bytes, plb__word_function *take,
                                  void *user)
{
    const struct run run = {splitter, scratch, take, user};
    limit_steps(scratch, bytes);
    for (size_t at = 0; at < bytes;) {
        size_t valid = plb__utf8_valid_prefix(text + at, bytes - at);
        if (valid > 0)
            PLB_TRY(run_step(&run, 0, text + at, valid));
        at += valid;
        size_t invalid = invalid_prefix(text + at, bytes - at);
        if (invalid > 0)
            PLB_TRY(take(user, text + at, invalid));
        at += invalid;
    }
    return PLB_OK;
}
