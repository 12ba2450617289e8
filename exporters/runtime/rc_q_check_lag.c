/* rc_q_check_lag.c - how far the output of a kernel may lie over its input: the same number as exporters/overlap.py
 * computes when it plans the arena, in a time that does not depend on the sizes. */
#include "rc_q_check.h"

/* How a window moves along one side of a plane. */
typedef struct side {
    uint32_t outputs, stride, pad, length;
} side;

/* Of an output row or column, the first one of the input that it takes. It never decreases. */
static int64_t first_read(const side *along, uint64_t at)
{
    const uint64_t from = at * along->stride;

    if (from <= along->pad) {
        return 0;
    }
    return (int64_t)(from - along->pad < along->length ? from - along->pad : along->length - 1u);
}

/* The largest of gain * at - cost * first_read(at) over at = first, first + step, ... below the number of outputs; step is
 * 1 or 2. That is linear in pieces, which end where the window leaves the first row or reaches the last: the largest lies beside an end. */
static int64_t ahead(const side *along, uint32_t first, uint32_t step, int64_t gain, int64_t cost)
{
    int64_t most = RC_LAG_ANY;
    uint64_t ends[4];
    uint32_t i, k;

    ends[0] = first;
    ends[1] = along->pad / along->stride;
    ends[2] = (along->pad + along->length - 1u) / along->stride; /* below 2^24 and 2^31 */
    ends[3] = along->outputs;
    for (i = 0u; i < 4u; i++) {
        for (k = 0u; k < 5u; k++) {
            const uint64_t at = ends[i] + k - 2u; /* below 0 it is larger than any */
            if (at >= first && at < along->outputs && ((at - first) & (step - 1u)) == 0u) {
                const int64_t value = (int64_t)at * gain - cost * first_read(along, at);
                most = value > most ? value : most;
            }
        }
    }
    return most;
}

int64_t rc_q_check_lag(const rc_q_window *window, uint32_t pairs)
{
    const side down = {window->out_h, window->stride_h, window->pad_top, window->in_h};
    const side right = {window->out_w, window->stride_w, window->pad_left, window->in_w};
    const int64_t cin = window->in_channels, cout = window->out_channels;
    const int64_t in_row = (int64_t)window->out_w * cout, out_of_row = (int64_t)window->in_w * cin;
    /* within a row: pairs end where the next begin to read, single outputs are written while they are read */
    const int64_t inside = pairs != 0u ? ahead(&right, 2u, 2u, cout, cin) : ahead(&right, 0u, 1u, cout, cin) + cout;
    const int64_t same_row = ahead(&down, 0u, 1u, in_row, out_of_row) + inside;
    /* all of a row is written when the next one is begun */
    const int64_t next_row = ahead(&down, 1u, 1u, in_row, out_of_row) - first_read(&right, 0u) * cin;

    return same_row > next_row ? same_row : next_row;
}
