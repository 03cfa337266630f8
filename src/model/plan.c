/* plan.c: decode segments first, from what earlier calls left in the window; then, if the window would overflow, prompt
 * segments. */
#include "model/plan.h"

#include "layout.h"

void gear__plan_begin(gear__plan *plan, uint32_t first, uint32_t length, uint32_t new_tokens)
{
    *plan = (gear__plan){first, length, length + new_tokens, 0};
}

int gear__plan_next(gear__plan *plan, const gear__plan_rules *rules, gear__plan_segment *segment)
{
    if (!plan->prompt_end) {
        uint32_t waiting = plan->length - plan->first;
        if (waiting >= rules->recent + rules->window) {
            *segment = (gear__plan_segment){plan->first, rules->window, GEAR__DECODE};
            plan->first += rules->window;
            return 1;
        }
        uint32_t all = plan->total - plan->first;
        if (all <= rules->ring) {
            return 0;
        }
        plan->prompt_end = plan->first + (all - rules->recent) / 64 * 64;
    }
    if (plan->first >= plan->prompt_end) {
        return 0;
    }
    uint32_t rest = plan->prompt_end - plan->first;
    *segment = (gear__plan_segment){plan->first, rest < rules->max_segment ? rest : rules->max_segment, GEAR__PROMPT};
    plan->first += segment->tokens;
    return 1;
}
