/* suite.c: see suite.h. */
#include "suite.h"

#include <math.h>
#include <string.h>

#include "../common/codec_flags.h"
#include "../common/timer.h"
#include "peer.h"

static void plain_16bit(recipe *r)
{
    codec_flags flags;
    codec_flags_init(&flags);
    *r = flags.plain;
    r->codecs.k.bits = r->codecs.v.bits = 16;
}

/* Progress, for whoever waits: results come at the end. */
static void tell(const result *r)
{
    char title[RESULT_TITLE];
    result_title(r, title, sizeof title);
    if (r->problem[0])
        fprintf(stderr, "%s: %s\n", title, r->problem);
    else
        fprintf(stderr, "%s: %.1f us\n", title, 1e3 * r->time.device.best);
}

/* Another kernel than the one asked for may serve 16 bits: better some baseline than none. */
static void run_baseline(bench *b, const bench_shape *plain, unsigned verb, result *out)
{
    gear_attend_kernel wanted = b->kernel;
    run_shape(b, plain, verb, out);
    if (out->problem[0] && !out->wrong && wanted != GEAR_ATTEND_AUTO) {
        b->kernel = GEAR_ATTEND_AUTO;
        run_shape(b, plain, verb, out);
        b->kernel = wanted;
    }
    out->of_16bit = out->problem[0] ? (double)NAN : 1;
}

/* The C + OpenMP peer of this geometry, on CPU devices: measured with the first row of it. */
static spread peer_of(const bench *b, const suite_options *o, const result *r, const result_list *list)
{
    host_error error = {0};
    spread ms = {(double)NAN, (double)NAN};
    if (r->verb != VERB_ATTEND || !(b->dev->type & CL_DEVICE_TYPE_CPU))
        return ms;
    for (size_t i = 0; i < list->count; ++i)
        if (&list->items[i] != r && list->items[i].verb == VERB_ATTEND && shape_same_geometry(&list->items[i].shape, &r->shape))
            return list->items[i].openmp;
    if (!peer_time(&r->shape, (double)o->seconds, o->rounds, &ms, &error)) {
        fprintf(stderr, "%s\n", error.text);
        ms = (spread){(double)NAN, (double)NAN};
    }
    return ms;
}

/* Whether two shapes of one geometry ask for the same codec of the same values. */
static bool same_work(const bench_shape *a, const bench_shape *b)
{
    return !strcmp(a->codec, b->codec) && !strcmp(a->details, b->details) && shape_same_data(a, b);
}

/* The 16-bit row of this shape and verb: one measured before, or now. What 16 bits take depends neither on the values nor on
 * how many tokens an append had, so rows that differ in these share it. The window of a decode block is the work of its row. */
static const result *baseline(bench *b, const suite_options *o, const bench_shape *shape, unsigned verb, result_list *list)
{
    recipe r;
    plain_16bit(&r);
    if (shape->decode_block)
        r.window = shape->recipe.window;
    bench_shape plain = shape_with(shape, &r);
    plain.real = false;
    plain.decode = false;
    for (size_t i = 0; i < list->count; ++i) {
        const result *known = &list->items[i];
        if (known->verb == verb && shape_same_geometry(&known->shape, &plain) && same_work(&known->shape, &plain))
            return known;
    }
    result *out = &list->items[list->count++];
    run_baseline(b, &plain, verb, out);
    out->openmp = peer_of(b, o, out, list);
    tell(out);
    return out;
}

/* Stages of the 16-bit codec beside those of the same name. */
static void compare_stages(result *r, const stage_list *plain)
{
    for (size_t i = 0; i < r->time.stages.count; ++i)
        for (size_t k = 0; k < plain->count; ++k)
            if (!strcmp(r->time.stages.items[i].name, plain->items[k].name))
                r->stage_16bit[i] = plain->items[k].ms;
}

static bool time_is_up(const suite_options *o, double start)
{
    return o->stop_after > 0 && timer_ms() - start > 1e3 * (double)o->stop_after;
}

/* start: of the suite. */
static void measure_verb(bench *b, const suite_options *o, double start, const bench_shape *shape, unsigned verb,
                         result_list *list)
{
    const result *plain = o->no_baseline ? NULL : baseline(b, o, shape, verb, list);
    if (plain && same_work(&plain->shape, shape) && plain->shape.decode == shape->decode)
        return;
    if (time_is_up(o, start)) { /* its 16-bit row took what was left */
        ++list->left_out;
        return;
    }
    result *r = &list->items[list->count++];
    run_shape(b, shape, verb, r);
    if (plain && !plain->problem[0] && !r->problem[0]) {
        r->of_16bit = plain->time.device.best / r->time.device.best;
        compare_stages(r, &plain->time.stages);
    }
    r->openmp = peer_of(b, o, r, list);
    tell(r);
}

void suite_run(bench *b, const suite_options *o, const shape_list *shapes, result_list *list)
{
    double start = timer_ms();
    for (size_t i = 0; i < shapes->count; ++i)
        for (unsigned verb = VERB_ATTEND; verb <= VERB_APPEND; verb <<= 1) {
            if (!(shapes->items[i].verbs & verb))
                continue;
            if (time_is_up(o, start))
                ++list->left_out;
            else
                measure_verb(b, o, start, &shapes->items[i], verb, list);
        }
    if (list->left_out)
        fprintf(stderr, "%zu verbs left out: time is up\n", list->left_out);
    for (size_t i = 0; i < list->count; ++i)
        list->missing += list->items[i].problem[0] != 0;
}
