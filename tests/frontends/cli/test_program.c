/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program as a user meets it: what it refuses and how it says so, a run from text to text, a
 * run that is stopped and goes on, a disk that is full, a file that nobody may write.
 */
#include "config.h"

#include "tests/frontends/cli/run.h"
#include "tests/support/plb_test.h"

#include <jansson.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first test makes what the others read: a corpus with some structure, a few words in an order
 * that repeats in parts. */
static void write_corpus(void)
{
    static const char *const list[] = {"the ", "pigeon ", "flies ", "over ",
                                       "a ",   "forest ", "and ",   "returns "};
    char *text = malloc(64 * 1024);
    size_t used = 0;

    for (uint32_t k = 0; used < 60000; k++) {
        const char *word = list[(k + (k * 2654435761u >> 28)) % 8];

        memcpy(text + used, word, strlen(word));
        used += strlen(word);
    }
    plb_test_write_file(plb_test_tmp("corpus"), text, used);
    plb_test_write_file(plb_test_tmp("empty"), "", 0);
    plb_test_write_file(plb_test_tmp("short"), "too short", 9);
    free(text);
}

#define TINY "--layers 1 --hidden 32 --heads 2 --batch 2 --sequence 16 --vocabulary 0 --quiet "

static void wrong_command_lines(void)
{
    refuse("", 2, "a command is missing");
    refuse("trian", 2, "did you mean 'train'");
    refuse("bench", 2, "did you mean 'bench train'");
    refuse("train", 2, "train wants CORPUS...");
    refuse("train --bacth 3 @corpus", 2, "did you mean --batch");
    refuse("train --batch many @corpus", 2, "--batch wants a whole number");
    refuse("train --dtype f16 @corpus", 2, "one of: f32 bf16");
    refuse("generate --top-p 0 @out", 2, "--top-p wants");
    refuse("generate @a @b", 2, "does not know what to do with");
}

static void wrong_input(void)
{
    refuse("train --out @x @nowhere", 1, "nowhere");
    refuse("train --out @x @empty", 1, "empty");
    PLB_CHECK(access(plb_test_tmp("x"), F_OK) != 0); /* no empty directory is left */
    refuse("train " TINY "--validation 0 --out @x @short", 1, "sequence");
    refuse("train --out @x --model gpt3 @corpus", 1, "'gpt3' is no preset");
    refuse("train " TINY "--out @x --heads 3 @corpus", 1, "heads");
    refuse("train " TINY "--out @x --sequence 4096 @corpus", 1, "4096");
    refuse("train " TINY "--out @x --vocabulary 100 @corpus", 1, "--vocabulary wants");
    refuse("train " TINY "--out @x --memory psychic @corpus", 1, "known are: none");
    refuse("train " TINY "--out @x --resume @corpus", 1, "trainer.json");
    refuse("train " TINY "--out /proc/nothing @corpus", 1, "/proc/nothing");
    refuse("generate @nowhere", 1, "nowhere");
    refuse("logits @nowhere --tokens 1 --out @l", 1, "nowhere");
    refuse("logits @nowhere --tokens 1,,2 --out @l", 1, "separated by commas");
    refuse("logits @nowhere --tokens 1", 1, "--out FILE is missing");
    refuse("info --model @corpus", 1, "no preset");
}

/* A folder with a model that no run of ours left there stays as it is. */
static void the_model_of_another(void)
{
    static const char content[] = "not ours";
    size_t bytes = 0;
    char *left;

    mkdir(plb_test_tmp("foreign"), 0777);
    plb_test_write_file(plb_test_tmp("foreign/model.safetensors"), content, strlen(content));
    refuse("train " TINY "--out @foreign @corpus", 1, "already holds a model.safetensors");
    left = plb_test_read_file(plb_test_tmp("foreign/model.safetensors"), &bytes);
    PLB_CHECK(left && bytes == strlen(content) && memcmp(left, content, bytes) == 0);
    free(left);
    PLB_CHECK(access(plb_test_tmp("foreign/config.json"), F_OK) != 0);
    mkdir(plb_test_tmp("torn"), 0777);
    plb_test_write_file(plb_test_tmp("torn/trainer.json"), "{", 1);
    refuse("train " TINY "--out @torn @corpus", 1, "already holds a trainer.json");
}

/* What is no file is not waited for. */
static void a_pipe_is_no_file(void)
{
    PLB_CHECK_EQ(mkfifo(plb_test_tmp("pipe"), 0666), 0);
    refuse("info --model @pipe", 1, "not a regular file");
}

static void unknown_scheduler(void)
{
    setenv("STARPU_SCHED", "psychic", 1);
    refuse("train " TINY "--out @x @corpus", 1, "unknown policy 'psychic'; known are:");
    unsetenv("STARPU_SCHED");
}

/* What StarPU itself would end the process for, with a trace of calls. */
static void environment_of_starpu(void)
{
    setenv("STARPU_NCPU", "many", 1);
    refuse("train " TINY "--out @x @corpus", 1, "STARPU_NCPU wants a whole number");
    setenv("STARPU_NCPU", "0", 1);
    refuse("train " TINY "--out @x @corpus", 1, "STARPU_NCPU is 0");
    unsetenv("STARPU_NCPU");
    setenv("XDG_CACHE_HOME", "/proc", 1); /* nobody can make a folder there */
    json_decref(palombe_json("train " TINY "--steps 1 --json --out @homeless @corpus"));
    unsetenv("XDG_CACHE_HOME");
}

static void text_to_text(void)
{
    json_t *run = palombe_json("train " TINY "--steps 150 --learning-rate 0.01 --warmup 5 --json "
                               "--pictures --out @out @corpus");
    static const char *const files[] = {"config.json",  "model.safetensors", "tokenizer.json",
                                        "trainer.json", "loss.csv",          "loss.svg",
                                        "timeline.svg", "timeline.json",     "step.dot"};
    json_t *text, *again;

    PLB_CHECK_EQ((int)number(run, "step"), 150);
    PLB_CHECK(number(run, "loss") < 2.5); /* of log 257 = 5.5 at the start */
    PLB_CHECK(number(run, "validation") < 3.0);
    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
        char path[512];

        snprintf(path, sizeof path, "%s/out/%s", plb_test_tmpdir(), files[k]);
        PLB_CHECK(access(path, R_OK) == 0);
    }
    text = palombe_json("generate @out --prompt the --max-tokens 40 --seed 7 --json");
    again = palombe_json("generate @out --prompt the --max-tokens 40 --seed 7 --json --workers 1");
    PLB_CHECK_EQ((int)number(text, "tokens"), 40);
    PLB_CHECK_STRING(json_string_value(json_object_get(text, "text")),
                     json_string_value(json_object_get(again, "text")));
    refuse("train " TINY "--steps 60 --out @out @corpus", 1, "already holds step 150");
    refuse("logits @out --tokens 1,2,999 --out @l", 1, "999");
    refuse("generate @out --prompt the --max-tokens 40 --json --workers 9999", 2, "--workers wants");
    json_decref(run);
    json_decref(text);
    json_decref(again);
}

/* Bytes of a file of the folder; NULL and a failed check when it is not there. */
static char *file(const char *name, size_t *bytes_out)
{
    char *data = plb_test_read_file(plb_test_tmp(name), bytes_out);

    PLB_CHECK(data != NULL);
    return data;
}

static void check_same_file(const char *a, const char *b)
{
    size_t a_bytes = 0, b_bytes = 0;
    char *x = file(a, &a_bytes), *y = file(b, &b_bytes);

    PLB_CHECK_EQ(a_bytes, b_bytes);
    if (x && y && a_bytes == b_bytes)
        PLB_CHECK_MEMORY(x, y, a_bytes);
    free(x);
    free(y);
}

static void a_resumed_run_has_the_same_bits(void)
{
    /* Not the default share for validation: it has to come from the checkpoint, too. */
    json_decref(palombe_json("train " TINY "--steps 12 --validation 0.1 --json --out @whole "
                             "@corpus"));
    json_decref(palombe_json("train " TINY "--steps 12 --validation 0.1 --stop-at 5 --json "
                             "--out @parts @corpus"));
    json_decref(palombe_json("train --resume --json --out @parts @corpus"));
    refuse("train --resume --batch 3 --out @parts @corpus", 1, "was not begun with --batch 3");
    check_same_file("whole/model.safetensors", "parts/model.safetensors");
    check_same_file("whole/optimizer.safetensors", "parts/optimizer.safetensors");
    check_same_file("whole/loss.csv", "parts/loss.csv");
}

static void a_lost_model_is_not_saved(void)
{
    refuse("train " TINY "--steps 40 --optimizer sgd --learning-rate 1000 --clip 0 --warmup 0 "
           "--out @lost @corpus",
           1, "is not a number");
    PLB_CHECK(access(plb_test_tmp("lost/model.safetensors"), F_OK) != 0);
}

/* Ctrl-C during a long run: the step ends, the model is saved, the program says so. */
static void an_interrupted_run_saves(void)
{
    char program[512], out[512], corpus[512], log[512], *text;
    int state = 0;
    pid_t child;
    size_t bytes;

    snprintf(program, sizeof program, "%s", plb_test_build("palombe"));
    snprintf(out, sizeof out, "%s/stopped", plb_test_tmpdir());
    snprintf(corpus, sizeof corpus, "%s/corpus", plb_test_tmpdir());
    snprintf(log, sizeof log, "%s/log", plb_test_tmpdir());
    child = fork();
    if (child == 0) {
        if (freopen(log, "w", stderr))
            execl(program, program, "train", "--layers", "1", "--hidden", "32", "--heads", "2",
                  "--batch", "2", "--sequence", "16", "--vocabulary", "0", "--steps", "100000000",
                  "--out", out, corpus, (char *)NULL);
        _exit(127);
    }
    for (int tries = 0; tries < 600; tries++) { /* until it trains, at most a minute */
        usleep(100000);
        text = plb_test_read_file(log, &bytes);
        if (text && strstr(text, "tokens/s"))
            tries = 600;
        free(text);
    }
    kill(child, SIGINT);
    PLB_REQUIRE(waitpid(child, &state, 0) == child);
    PLB_CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 130);
    text = plb_test_read_file(log, &bytes);
    PLB_CHECK_CONTAINS(text, "is saved in");
    free(text);
    json_decref(palombe_json("generate @stopped --prompt a --max-tokens 3 --json"));
}

/* Without a standard error, what is said must not go into a file that is being written. */
static void closed_streams(void)
{
    char line[1024];
    const char *argv[] = {"sh", "-c", line, NULL};
    struct plb_test_output output;

    snprintf(line, sizeof line,
             "exec '%s' train --layers 1 --hidden 32 --heads 2 --batch 2 --sequence 16 --vocabulary 0 "
             "--steps 12 --validation 0.1 --out '%s/mute' '%s/corpus' <&- 2>&-",
             plb_test_build("palombe"), plb_test_tmpdir(), plb_test_tmpdir());
    output = plb_test_command(argv, NULL);
    PLB_CHECK_EQ(output.status, 0);
    plb_test_output_free(&output);
    check_same_file("whole/model.safetensors", "mute/model.safetensors");
    snprintf(line, sizeof line, "exec '%s' help >&-", plb_test_build("palombe"));
    output = plb_test_command(argv, NULL);
    PLB_CHECK_EQ(output.status, 1);
    PLB_CHECK_CONTAINS(output.err, "could not be written");
    plb_test_output_free(&output);
}

/* /dev/full fails every write with "no space left on device". */
static void a_full_disk_is_reported(void)
{
    struct plb_test_output output;
    const char *argv[] = {"sh", "-c", "exec \"$0\" help >/dev/full", plb_test_build("palombe"),
                          NULL};

    if (access("/dev/full", W_OK) != 0)
        return;
    output = plb_test_command(argv, NULL);
    PLB_CHECK_EQ(output.status, 1);
    PLB_CHECK_CONTAINS(output.err, "could not be written");
    plb_test_output_free(&output);
}

/* A limit on the size of files (600 blocks of 512 bytes) stands for a disk that is full: the tokens
 * of the corpus fit, the model does not. */
static void a_checkpoint_without_room(void)
{
    char line[1024];
    const char *argv[] = {"sh", "-c", line, NULL};
    struct plb_test_output output;

    snprintf(line, sizeof line,
             "trap '' XFSZ; ulimit -f 600; exec '%s' train " TINY "--hidden 64 --steps 2 --out '%s/full' "
             "'%s/corpus'",
             plb_test_build("palombe"), plb_test_tmpdir(), plb_test_tmpdir());
    output = plb_test_command(argv, NULL);
    PLB_CHECK_EQ(output.status, 1);
    PLB_CHECK_CONTAINS(output.err, "File too large");
    PLB_CHECK_CONTAINS(output.err, "safetensors");
    plb_test_output_free(&output);
    PLB_CHECK(access(plb_test_tmp("full/model.safetensors"), F_OK) != 0);
}

static void machines_can_read_it(void)
{
    json_t *doctor, *graph = palombe_json("graph --model mini --layers 1 --cut --json");
    json_t *info = palombe_json("info --model gpt2 --json");
    struct plb_test_output output = palombe("doctor --json");

    PLB_CHECK(number(graph, "tasks") > 50);
    PLB_CHECK_EQ((long long)number(info, "parameters"), 124439808); /* Hugging Face's count */
    doctor = json_loads(output.out, JSON_REJECT_DUPLICATES, NULL);
    PLB_CHECK(json_is_boolean(json_object_get(doctor, "healthy")));
    PLB_CHECK(json_array_size(json_object_get(doctor, "findings")) >= 8);
    plb_test_output_free(&output);
    json_decref(doctor);
    json_decref(graph);
    json_decref(info);
}

static void benchmarks_run(void)
{
    json_t *train = palombe_json("bench train --batch 1 --sequence 16 --repeat 2 --json");
    json_t *generate = palombe_json("bench generate --max-tokens 4 --repeat 2 --json");

    PLB_CHECK(number(train, "step_seconds") > 0.0);
    PLB_CHECK(number(train, "floor_seconds") > 0.0);
    PLB_CHECK(number(train, "peak_bytes") >= 0.9 * number(train, "needed_bytes"));
    PLB_CHECK(number(generate, "tokens_per_second") > 0.0);
    json_decref(train);
    json_decref(generate);
}

PLB_TEST_MAIN("frontends/cli/program", NULL, NULL, PLB_TEST(write_corpus),
              PLB_TEST(wrong_command_lines), PLB_TEST(wrong_input),
              PLB_TEST(the_model_of_another), PLB_TEST(a_pipe_is_no_file),
              PLB_TEST(unknown_scheduler), PLB_TEST(environment_of_starpu),
              PLB_TEST(text_to_text), PLB_TEST(a_resumed_run_has_the_same_bits),
              PLB_TEST(a_lost_model_is_not_saved),
              PLB_TEST(an_interrupted_run_saves), PLB_TEST(closed_streams),
              PLB_TEST(a_full_disk_is_reported), PLB_TEST(a_checkpoint_without_room),
              PLB_TEST(machines_can_read_it), PLB_TEST(benchmarks_run))
