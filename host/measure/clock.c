/* clock.c: see clock.h. */
#include "clock.h"

#include <stdlib.h>
#include <string.h>

#include "../common/timer.h"

enum { LEAST_ROUNDS = 5, MOST_ROUNDS = 1000, MOST_PER_ROUND = 64 };

/* One work-item turns round: long enough for the host to queue what is timed behind it. */
static const char source[] = "kernel void block(global uint *out, uint turns)\n"
                             "{\n"
                             "    uint x = turns;\n"
                             "    for (uint i = 0; i < turns; ++i) x = x * 1664525u + out[0];\n"
                             "    out[1] = x;\n"
                             "}\n";

static bool stamp(cl_event event, cl_profiling_info what, double *ms, host_error *error)
{
    cl_ulong value = 0;
    bool ok = cl_ok(clGetEventProfilingInfo(event, what, sizeof value, &value, NULL), "clGetEventProfilingInfo", error);
    *ms = (double)value * 1e-6;
    return ok;
}

static bool block(clocks *c, cl_uint turns, cl_event *event, host_error *error)
{
    const size_t one = 1;
    return cl_ok(clSetKernelArg(c->blocker, 1, sizeof turns, &turns), "clSetKernelArg", error) &&
           cl_ok(clEnqueueNDRangeKernel(c->profiled, c->blocker, 1, NULL, &one, &one, 0, NULL, event), "clEnqueueNDRangeKernel",
                 error);
}

/* How long the blocker takes, so that it can cover what the host needs. */
static bool calibrate(clocks *c, host_error *error)
{
    const cl_uint turns = 100000;
    for (int i = 0; i < 3; ++i) {
        cl_event event = NULL;
        double start = 0, end = 0;
        bool ok = block(c, turns, &event, error) && cl_ok(clWaitForEvents(1, &event), "clWaitForEvents", error) &&
                  stamp(event, CL_PROFILING_COMMAND_START, &start, error) &&
                  stamp(event, CL_PROFILING_COMMAND_END, &end, error);
        if (event)
            clReleaseEvent(event);
        if (!ok)
            return false;
        c->ms_per_turn = (end - start) / turns;
    }
    return true;
}

bool clocks_open(clocks *c, const device *dev, double seconds, unsigned rounds, host_error *error)
{
    cl_int code = CL_SUCCESS;
    const char *text = source;
    const cl_uint zero[2] = {0, 0};
    *c = (clocks){.dev = dev, .seconds = seconds, .rounds = rounds};
    c->profiled = clCreateCommandQueue(dev->context, dev->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (!cl_ok(code, "clCreateCommandQueue", error))
        return false;
    c->program = clCreateProgramWithSource(dev->context, 1, &text, NULL, &code);
    if (!cl_ok(code, "clCreateProgramWithSource", error) ||
        !cl_ok(clBuildProgram(c->program, 1, &dev->id, "", NULL, NULL), "clBuildProgram", error))
        return false;
    c->blocker = clCreateKernel(c->program, "block", &code);
    if (!cl_ok(code, "clCreateKernel", error))
        return false;
    c->sink = clCreateBuffer(dev->context, CL_MEM_READ_WRITE, sizeof zero, NULL, &code);
    return cl_ok(code, "clCreateBuffer", error) &&
           cl_ok(clEnqueueFillBuffer(c->profiled, c->sink, zero, 4, 0, sizeof zero, 0, NULL, NULL), "clEnqueueFillBuffer",
                 error) &&
           cl_ok(clSetKernelArg(c->blocker, 0, sizeof c->sink, &c->sink), "clSetKernelArg", error) && calibrate(c, error);
}

void clocks_close(clocks *c)
{
    if (c->sink)
        clReleaseMemObject(c->sink);
    if (c->blocker)
        clReleaseKernel(c->blocker);
    if (c->program)
        clReleaseProgram(c->program);
    if (c->profiled)
        clReleaseCommandQueue(c->profiled);
    *c = (clocks){0};
}

typedef struct job {
    clocks *c;
    verb_call *call;
    verb_ready *ready;
    void *user;
    unsigned per_round;
    cl_uint turns;
    stage_list stages; /* of the round at hand */
} job;

static bool prepare(job *j, host_error *error)
{
    return !j->ready || j->ready(j->user, error);
}

/* One round of each clock; *ms is per verb. */
typedef bool round_of(job *j, double *ms, host_error *error);

static bool device_round(job *j, double *ms, host_error *error)
{
    cl_event first = NULL, last = NULL;
    double start = 0, end = 0;
    bool ok = prepare(j, error) && block(j->c, j->turns, &first, error);
    for (unsigned i = 0; ok && i < j->per_round; ++i)
        ok = (i == 0 || prepare(j, error)) && j->call(j->user, j->c->profiled, i + 1 == j->per_round ? &last : NULL, error);
    ok = ok && cl_ok(clFinish(j->c->profiled), "clFinish", error) && stamp(first, CL_PROFILING_COMMAND_END, &start, error) &&
         stamp(last, CL_PROFILING_COMMAND_END, &end, error);
    if (first)
        clReleaseEvent(first);
    if (last)
        clReleaseEvent(last);
    *ms = (end - start) / j->per_round;
    return ok;
}

static double total(const stage_list *list)
{
    double sum = 0;
    for (size_t i = 0; i < list->count; ++i)
        sum += list->items[i].ms;
    return sum;
}

static bool kernels_round(job *j, double *ms, host_error *error)
{
    if (!prepare(j, error))
        return false;
    launches_begin();
    bool ok = j->call(j->user, j->c->profiled, NULL, error);
    ok = cl_ok(clFinish(j->c->profiled), "clFinish", error) && ok;
    ok = launches_end(&j->stages, error) && ok;
    *ms = total(&j->stages);
    return ok;
}

static bool wall_round(job *j, double *ms, host_error *error)
{
    if (!prepare(j, error))
        return false;
    double start = timer_ms();
    bool ok = j->call(j->user, j->c->dev->queue, NULL, error) && cl_ok(clFinish(j->c->dev->queue), "clFinish", error);
    *ms = timer_ms() - start;
    return ok;
}

/* Rounds until the time is up. history: NULL, or [MOST_ROUNDS], receives the stages of each. */
static bool run_rounds(job *j, round_of *round, spread *out, unsigned *count, stage_list *history, host_error *error)
{
    double ms[MOST_ROUNDS], begin = timer_ms();
    unsigned n = 0, wanted = j->c->rounds;
    do {
        if (!round(j, &ms[n], error))
            return false;
        if (history)
            history[n] = j->stages;
        n++;
    } while (n < MOST_ROUNDS && (wanted ? n < wanted : n < LEAST_ROUNDS || timer_ms() - begin < 1e3 * j->c->seconds));
    *out = spread_of(ms, n);
    *count = n;
    return true;
}

/* The stages of the best of `count` rounds, each with the best and the median of its own times in the rounds that have it. */
static void summarise_stages(const stage_list *rounds, unsigned count, stage_list *out)
{
    *out = rounds[0];
    for (unsigned n = 1; n < count; ++n)
        if (total(&rounds[n]) < total(out))
            *out = rounds[n];
    for (size_t i = 0; i < out->count; ++i) {
        double ms[MOST_ROUNDS];
        unsigned times = 0;
        for (unsigned n = 0; n < count; ++n)
            for (size_t k = 0; k < rounds[n].count; ++k)
                if (!strcmp(rounds[n].items[k].name, out->items[i].name))
                    ms[times++] = rounds[n].items[k].ms;
        spread s = spread_of(ms, times);
        out->items[i].ms = s.best;
        out->items[i].median = s.median;
    }
}

static bool kernels_clock(job *j, timing *out, host_error *error)
{
    unsigned count = 0;
    stage_list *history = malloc(MOST_ROUNDS * sizeof *history);
    bool ok = history || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && run_rounds(j, kernels_round, &out->kernels, &count, history, error);
    if (ok)
        summarise_stages(history, count, &out->stages);
    free(history);
    return ok;
}

/* Two verbs to warm up; the second tells how many fit a round and what the host needs to queue one. */
static bool warm_up(job *j, host_error *error)
{
    double ms = 0, host = 0;
    for (int i = 0; i < 2; ++i) {
        if (!prepare(j, error))
            return false;
        double start = timer_ms();
        bool ok = j->call(j->user, j->c->profiled, NULL, error);
        host = timer_ms() - start;
        if (!ok || !cl_ok(clFinish(j->c->profiled), "clFinish", error))
            return false;
        ms = timer_ms() - start;
    }
    double fit = j->c->one_a_round ? 1 : ms > 0 ? 5 / ms : MOST_PER_ROUND;
    j->per_round = fit < 1 ? 1 : fit > MOST_PER_ROUND ? MOST_PER_ROUND : (unsigned)fit;
    /* On a CPU the blocker would take a core from the verb's own host work, and launches cost next to nothing. */
    double cover = j->c->dev->type & CL_DEVICE_TYPE_CPU ? 0 : 1.5 * host * j->per_round + 0.1;
    cover = cover < 20 ? cover : 20;
    j->turns = j->c->ms_per_turn > 0 ? (cl_uint)(cover / j->c->ms_per_turn) + 1 : 1;
    return true;
}

bool clocks_time(clocks *c, verb_call *call, verb_ready *ready, void *user, timing *out, host_error *error)
{
    job j = {.c = c, .call = call, .ready = ready, .user = user};
    unsigned unused = 0;
    *out = (timing){0};
    bool ok = warm_up(&j, error) && run_rounds(&j, device_round, &out->device, &out->rounds, NULL, error);
    if (!c->device_only)
        ok = ok && kernels_clock(&j, out, error) && run_rounds(&j, wall_round, &out->wall, &unused, NULL, error);
    out->per_round = j.per_round;
    return ok;
}
