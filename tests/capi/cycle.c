/*
 * Creates, uses and frees every kind of handle, over and over: `cycle PROGRAM.conc-ir ROUNDS`. Fails when memory or descriptors do not come back; under
 * AddressSanitizer also on any wrong access, and on the first byte that is lost.
 */
#include "concerto.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of the size of a few rounds' garbage, and less than one leaked handle per round would make. */
#define SLACK_KIB 4096

static void check(int is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "cycle: %s\n", what);
        exit(1);
    }
}

static int on_emit(void *user, const char *channel, const char *json, size_t len) {
    (void)channel;
    (void)json;
    *(size_t *)user += len;
    return 0;
}

static int cancels(void *user, const char *channel, const char *json, size_t len) {
    (void)user;
    (void)channel;
    (void)json;
    (void)len;
    return 1;
}

static void answers(void *user, const char *channel, const char *json, size_t len, concerto_reply *reply) {
    (void)user;
    (void)channel;
    (void)json;
    (void)len;
    concerto_reply_ok(reply, "\"Ada\"", 5);
    concerto_reply_error(reply, "this is too late");
}

/* Never answers: the request is gone with its run. */
static void ignores(void *user, const char *channel, const char *json, size_t len, concerto_reply *reply) {
    (void)channel;
    (void)json;
    (void)len;
    *(concerto_reply **)user = reply;
}

static void fails(concerto_status status, concerto_status expected, concerto_error **err) {
    check(status == expected && concerto_error_kind(*err) == expected, "another status");
    check(concerto_error_message(*err)[0] != '\0' && concerto_error_json(*err)[0] == '{', "an empty error");
    concerto_error_free(*err);
    *err = NULL;
}

static void background(concerto_runtime *runtime) {
    concerto_error *err = NULL;
    concerto_run *run = NULL;
    char *channel, *json, *result = NULL;
    check(concerto_run_start(runtime, "draft", "[\"Hi\"]", &run, &err) == CONCERTO_OK, "start");
    check(concerto_run_next_emit(run, -1, &channel, &json, &err) == CONCERTO_OK, "next_emit");
    concerto_string_free(channel);
    concerto_string_free(json);
    check(concerto_run_wait(run, -1, &result, &err) == CONCERTO_OK, "wait");
    concerto_string_free(result);
    concerto_string_free(concerto_run_metrics_json(run));
    concerto_run_free(run);
    check(concerto_run_start(runtime, "draft", "[\"Hi\"]", &run, NULL) == CONCERTO_OK, "start again");
    concerto_run_cancel(run);
    concerto_run_free(run);
}

static void asks(concerto_runtime *runtime) {
    concerto_error *err = NULL;
    concerto_run *run = NULL;
    concerto_reply *reply = NULL;
    char *result = NULL;
    check(concerto_runtime_on_emit(runtime, "approve", answers, NULL, &err) == CONCERTO_OK, "on_emit");
    check(concerto_runtime_call(runtime, "send", "[\"Hi\"]", &result, &err) == CONCERTO_OK, "send");
    concerto_string_free(result);
    check(concerto_runtime_on_emit(runtime, "approve", ignores, &reply, &err) == CONCERTO_OK, "on_emit again");
    check(concerto_run_start(runtime, "send", "[\"Hi\"]", &run, &err) == CONCERTO_OK, "start send");
    while (reply == NULL) check(concerto_run_wait(run, 1, &result, &err) == CONCERTO_TIMEOUT, "wait for the request");
    concerto_run_free(run);
    concerto_reply_ok(reply, "1", 1);
}

static void round_of(const char *path) {
    concerto_error *err = NULL;
    concerto_program *program = NULL;
    concerto_runtime *runtime = NULL;
    char *result = NULL;
    size_t seen = 0;
    check(concerto_program_load(path, &program, &err) == CONCERTO_OK, "load");
    concerto_program_free(program);
    fails(concerto_program_from_bytes((const uint8_t *)"{}", 2, &program, &err), CONCERTO_IR, &err);
    check(program == NULL, "`out` is not NULL after a failure");
    check(concerto_program_load(path, &program, NULL) == CONCERTO_OK, "load again");
    check(concerto_runtime_new(program, "{\"mock\": true}", &runtime, &err) == CONCERTO_OK, "new");
    concerto_program_free(program);
    fails(concerto_override_connection(runtime, "no", "{}", &err), CONCERTO_CONFIG, &err);
    check(concerto_override_connection(runtime, "cloud", "{\"timeout\": 5}", &err) == CONCERTO_OK, "override");
    check(concerto_clear_override(runtime, NULL, &err) == CONCERTO_OK, "clear");
    check(concerto_runtime_on(runtime, "*", on_emit, &seen, &err) == CONCERTO_OK, "on");
    check(concerto_runtime_call(runtime, "sort", "[\"Hi\"]", &result, &err) == CONCERTO_OK, "call");
    concerto_string_free(result);
    check(seen > 0, "no emit");
    fails(concerto_runtime_run(runtime, &result, &err), CONCERTO_CONFIG, &err);
    fails(concerto_runtime_call(runtime, "sort", "[7]", &result, &err), CONCERTO_INVALID_ARGUMENT, &err);
    background(runtime);
    asks(runtime);
    check(concerto_runtime_on(runtime, "step", cancels, NULL, &err) == CONCERTO_OK, "on again");
    fails(concerto_runtime_call(runtime, "sort", "[\"Hi\"]", &result, &err), CONCERTO_CANCELLED, &err);
    check(concerto_runtime_off(runtime, "step", &err) == CONCERTO_OK, "off");
    check(concerto_connection_settings(runtime, "cloud", &result, &err) == CONCERTO_OK, "settings");
    concerto_string_free(result);
    check(concerto_runtime_set_price(runtime, "m*", "{\"input\": 1, \"output\": 2}", &err) == CONCERTO_OK, "price");
    fails(concerto_runtime_set_price(runtime, "m*", "{\"input\": -1, \"output\": 2}", &err), CONCERTO_CONFIG, &err);
    concerto_string_free(concerto_runtime_metrics_json(runtime));
    concerto_runtime_reset_metrics(runtime);
    concerto_runtime_free(runtime);
}

static long resident_kib(void) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    check(statm != NULL && fscanf(statm, "%*d %ld", &pages) == 1, "no /proc/self/statm");
    fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    check(folder != NULL, "no /proc/self/fd");
    while (readdir(folder) != NULL) count += 1;
    closedir(folder);
    return count;
}

int main(int argc, char **argv) {
    check(argc == 3, "usage: cycle PROGRAM.conc-ir ROUNDS");
    int rounds = atoi(argv[2]), i;
    for (i = 0; i < rounds / 4; i++) round_of(argv[1]);
    long before = resident_kib();
    int open_before = descriptors();
    for (i = 0; i < rounds; i++) round_of(argv[1]);
    long grown = resident_kib() - before;
    printf("%d rounds: %ld KiB more, %d descriptors more\n", rounds, grown, descriptors() - open_before);
    check(getenv("CYCLE_SANITIZED") != NULL || grown < SLACK_KIB, "memory does not come back");
    check(descriptors() == open_before, "descriptors do not come back");
    return 0;
}
