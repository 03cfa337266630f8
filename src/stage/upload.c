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
        gear_status status = gear__set_args_with_words(kernel, first, GEAR__COUNT_OF(first), words + done, n, error);
        status = status ? status : gear__stream_kernel(stream, kernel, 1, global, local, error);
        if (status) {
            return status;
        }
        done += n;
    }
    return GEAR_OK;
}

gear_status gear__upload_table(gear__stream *stream, const gear__layer_memory *layer, const uint32_t *runs, uint32_t count,
                               gear_error *error)
{
    cl_kernel kernel = layer->variant->kernel[GEAR__KERNEL_UPLOAD_TABLE][0];
    const gear__arg first[] = {GEAR__ARG(layer->table)};
    const size_t global[2] = {GEAR__WORK_GROUP, count}, local[2] = {GEAR__WORK_GROUP, 1};
    gear_status status = gear__set_args_with_words(kernel, first, GEAR__COUNT_OF(first), runs, count * GEAR__RUN_WORDS, error);
    return status ? status : gear__stream_kernel(stream, kernel, 2, global, local, error);
}

gear_status gear__upload_rows(gear__stream *stream, const gear__variant *variant, cl_mem jobs, cl_mem row_jobs,
                              uint32_t num_jobs, gear_error *error)
{
    const gear__arg args[] = {GEAR__ARG(jobs), GEAR__ARG(row_jobs)};
    const size_t global[3] = {GEAR__WORK_GROUP * (size_t)num_jobs, 1, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_UPLOAD_ROWS][0], args, GEAR__COUNT_OF(args), global, error);
}
