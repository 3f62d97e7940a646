/*
 * Runs a compiled Concerto program from C: a call with a handler, a run in the background, an answer, an error, metrics.
 *
 *     triage PROGRAM.conc-ir [BASE_URL]
 *
 * Without a URL every model call is answered in this process, without network and keys. `make c-example` builds and runs it.
 */
#include "concerto.h"

#include <stdio.h>
#include <string.h>

static int on_step(void *user, const char *channel, const char *json, size_t len) {
    int *steps = user;
    *steps += 1;
    printf("%s: %.*s\n", channel, (int)len, json);
    return 0; /* anything else would cancel the run */
}

/* Says what went wrong, and gives the error back. */
static int failed(const char *what, concerto_error *err) {
    fprintf(stderr, "%s: %s\n", what, concerto_error_message(err));
    concerto_error_free(err);
    return 1;
}

static int override(concerto_runtime *runtime, const char *url) {
    concerto_error *err = NULL;
    char fields[1024];
    snprintf(fields, sizeof fields, "{\"api_key\": \"sk-test\", \"base_url\": \"%s\"}", url);
    if (concerto_override_connection(runtime, "cloud", fields, &err)) return failed("override", err);
    return 0;
}

static int call(concerto_runtime *runtime) {
    concerto_error *err = NULL;
    char *ticket = NULL;
    int steps = 0;
    if (concerto_runtime_on(runtime, "step", on_step, &steps, &err)) return failed("on", err);
    if (concerto_runtime_call(runtime, "sort", "[\"I cannot log in!\"]", &ticket, &err)) return failed("sort", err);
    printf("ticket after %d steps: %s\n", steps, ticket);
    concerto_string_free(ticket);
    return 0;
}

static int stream(concerto_runtime *runtime) {
    concerto_error *err = NULL;
    concerto_run *run = NULL;
    char *channel, *json, *words = NULL;
    concerto_status status;
    if (concerto_run_start(runtime, "draft", "{\"mail\": \"Hello\"}", &run, &err)) return failed("start", err);
    while ((status = concerto_run_next_emit(run, 60000, &channel, &json, &err)) == CONCERTO_OK) {
        printf("%s: %s\n", channel, json);
        concerto_string_free(channel);
        concerto_string_free(json);
    }
    if (status == CONCERTO_END && (status = concerto_run_wait(run, 60000, &words, &err)) == CONCERTO_OK) {
        printf("chunks: %s\n", words);
    }
    concerto_string_free(words);
    concerto_run_free(run);
    if (status == CONCERTO_OK) return 0;
    if (err != NULL) return failed("draft", err);
    fprintf(stderr, "draft: it takes too long\n");
    return 1;
}

/* Answers at once; the reply could as well be kept, and be answered later on any thread. */
static void on_approve(void *user, const char *channel, const char *json, size_t len, concerto_reply *reply) {
    const char *name = user;
    printf("%s: %.*s\n", channel, (int)len, json);
    concerto_reply_ok(reply, name, strlen(name));
}

static int ask(concerto_runtime *runtime) {
    concerto_error *err = NULL;
    char *result = NULL;
    char *name = "\"Ada\"";
    if (concerto_runtime_on_emit(runtime, "approve", on_approve, name, &err)) return failed("on_emit", err);
    if (concerto_runtime_call(runtime, "send", "[\"Hello\"]", &result, &err)) return failed("send", err);
    printf("%s\n", result);
    concerto_string_free(result);
    return 0;
}

static int mistake(concerto_runtime *runtime) {
    concerto_error *err = NULL;
    char *result = NULL;
    concerto_status status = concerto_runtime_call(runtime, "sort", "[7]", &result, &err);
    if (status != CONCERTO_INVALID_ARGUMENT) return 1;
    printf("refused: %s\n", concerto_error_message(err));
    concerto_error_free(err);
    return 0;
}

int main(int argc, char **argv) {
    concerto_error *err = NULL;
    concerto_program *program = NULL;
    concerto_runtime *runtime = NULL;
    int code = 1;
    if (argc < 2) {
        fprintf(stderr, "usage: %s PROGRAM.conc-ir [BASE_URL]\n", argv[0]);
        return 2;
    }
    if (concerto_program_load(argv[1], &program, &err)) return failed(argv[1], err);
    if (concerto_runtime_new(program, argc > 2 ? "{\"execution_timeout\": 60}" : "{\"mock\": true}", &runtime, &err)) {
        code = failed("runtime", err);
    } else if (!(argc > 2 && override(runtime, argv[2])) && !call(runtime) && !stream(runtime) && !ask(runtime) && !mistake(runtime)) {
        char *metrics = concerto_runtime_metrics_json(runtime);
        printf("metrics: %s\n", metrics);
        concerto_string_free(metrics);
        code = 0;
    }
    concerto_runtime_free(runtime);
    concerto_program_free(program);
    return code;
}
