/* upload.c: words into device tables, carried by kernel arguments (cl/upload.cl). */
#include "stage/argument_words.h"
#include "stage/launch_args.h"

gear_status gear__upload(gear__stream *stream, const gear__variant *variant, cl_mem table, uint32_t offset_words,
                         const uint32_t *words, uint32_t count, gear_error *error)
{
    cl_kernel kernel = variant->kernel[GEAR__KERNEL_UPLOAD][0];
    const size_t global[1] = {GEAR__WORK_GROUP}, local[1] = {GEAR__WORK_GROUP};
    for (uint32_t done = 0; done < count;) {
        cl_uint offset = offset_words + done, n = count - done;
        n = n < GEAR__UPLOAD_WORDS ? n : GEAR__UPLOAD_WORDS;
        const gear__arg first[] = {GEAR__ARG(table), GEAR__ARG(offset), GEAR__ARG(n)};
        gear_status status =
            gear__set_args_with_words(kernel, first, GEAR__COUNT_OF(first), words + done, n, GEAR__UPLOAD_WORDS, error);
        status = status ? status : gear__stream_kernel(stream, kernel, 1, global, local, error);
        if (status) {
            return status;
        }
        done += n;
    }
    return GEAR_OK;
}

static uint32_t room_of(const gear__uploads *u)
{
    return u->layer->variant->append.is_nvidia ? GEAR__LONG_UPLOAD_WORDS : GEAR__UPLOAD_WORDS;
}

gear_status gear__upload_lists(gear__stream *stream, gear__uploads *u, gear_error *error)
{
    cl_kernel kernel = u->layer->variant->kernel[GEAR__KERNEL_UPLOAD_LISTS][0];
    const gear__arg first[] = {GEAR__ARG(u->seqs),      GEAR__ARG(u->layer->table), GEAR__ARG(u->jobs),
                               GEAR__ARG(u->row_jobs),  GEAR__ARG(u->places),       GEAR__ARG(u->row_entries),
                               GEAR__ARG(u->first_seq), GEAR__ARG(u->num_seqs),     GEAR__ARG(u->num_runs),
                               GEAR__ARG(u->first_job)};
    const size_t global[1] = {GEAR__WORK_GROUP * (size_t)(u->num_seqs + u->num_runs + u->num_jobs)};
    const size_t local[1] = {GEAR__WORK_GROUP};
    if (!u->used) {
        return GEAR_OK;
    }
    gear_status status = gear__set_args_with_words(kernel, first, GEAR__COUNT_OF(first), u->words, u->used, room_of(u), error);
    status = status ? status : gear__stream_kernel(stream, kernel, 1, global, local, error);
    u->first_seq += u->num_seqs;
    u->first_job += u->num_jobs;
    u->num_seqs = u->num_runs = u->num_jobs = u->used = 0;
    return status;
}

/* Room for one more entry of `count` words, of the kind that `number` counts; sends what is there where it is full, or where
 * some of a later kind follow already. */
static gear_status add(gear__stream *stream, gear__uploads *u, uint32_t *number, uint32_t count, int has_later,
                       uint32_t **words, gear_error *error)
{
    gear_status status = u->used + count > room_of(u) || has_later ? gear__upload_lists(stream, u, error) : GEAR_OK;
    *words = u->words + u->used;
    u->used += count;
    ++*number;
    return status;
}

gear_status gear__upload_seq(gear__stream *stream, gear__uploads *u, uint32_t **words, gear_error *error)
{
    return add(stream, u, &u->num_seqs, GEAR__SEQ_WORDS, u->num_runs || u->num_jobs, words, error);
}

gear_status gear__upload_run(gear__stream *stream, gear__uploads *u, uint32_t **words, gear_error *error)
{
    return add(stream, u, &u->num_runs, GEAR__RUN_WORDS, u->num_jobs != 0, words, error);
}

gear_status gear__upload_job(gear__stream *stream, gear__uploads *u, uint32_t **words, gear_error *error)
{
    return add(stream, u, &u->num_jobs, GEAR__JOB_WORDS, 0, words, error);
}
