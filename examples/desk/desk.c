/* The desk program in a C host: `desk PROGRAM.conc-ir [BASE_URL]`. Try it with a provider on this machine:
 *
 *     make capi
 *     cc -Iinclude examples/desk/desk.c -Ltarget/capi -lconcerto -Wl,-rpath,$PWD/target/capi -o target/desk
 *     concerto build examples/desk/desk.conc -o target/desk.conc-ir
 *     concerto mock --port 8080 --script examples/desk/mock.json
 *     target/desk target/desk.conc-ir http://127.0.0.1:8080/v1
 */
#include "concerto.h"

#include <stdio.h>
#include <string.h>

static int on_text(void *user, const char *channel, const char *json, size_t len) {
    (void)user;
    (void)channel;
    fwrite(json, 1, len, stdout);
    return 0;
}

static void on_status(void *user, const char *args, size_t len, concerto_reply *reply) {
    const char *out = "\"order 7 is on its way\"";
    (void)user;
    (void)args;
    (void)len;
    concerto_reply_ok(reply, out, strlen(out));
}

int main(int argc, char **argv) {
    concerto_error *err = NULL;
    concerto_program *program = NULL;
    concerto_runtime *runtime = NULL;
    char *result = NULL, *metrics = NULL, fields[1024];
    int code = 1;
    snprintf(fields, sizeof fields, "{\"api_key\": \"test\", \"base_url\": \"%s\"}", argc > 2 ? argv[2] : "http://127.0.0.1:8080/v1");
    if (concerto_program_load(argc > 1 ? argv[1] : "desk.conc-ir", &program, &err)) goto end;
    if (concerto_runtime_new(program, "{\"execution_timeout\": 60}", &runtime, &err)) goto end;
    if (concerto_override_connection(runtime, "cloud", fields, &err)) goto end;
    if (concerto_runtime_on(runtime, "text", on_text, NULL, &err)) goto end;
    if (concerto_runtime_register_tool(runtime, "Orders", "status", on_status, NULL, &err)) goto end;
    if (concerto_runtime_call(runtime, "answer", "[\"Where is order 7?\"]", &result, &err)) goto end;
    printf("\n%s\n", result);
    metrics = concerto_runtime_metrics_json(runtime);
    printf("%s\n", metrics);
    code = 0;
end:
    if (err) fprintf(stderr, "%s\n", concerto_error_message(err));
    concerto_error_free(err);
    concerto_string_free(result);
    concerto_string_free(metrics);
    concerto_runtime_free(runtime);
    concerto_program_free(program);
    return code;
}
