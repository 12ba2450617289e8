/* rc_log_softmax.c - LogSoftmax: maximum, powers and sum from the first element to the last. */
#include "rc_elementwise.h"
#include "rc_math.h"

void rc_log_softmax(const float *x, float *y, uint32_t rows, uint32_t n)
{
    uint32_t i;

    for (; rows != 0u; rows--, x += n, y += n) {
        float most = x[0], sum = 0.0f;
        for (i = 1u; i < n; i++) {
            most = x[i] > most ? x[i] : most;
        }
        for (i = 0u; i < n; i++) {
            y[i] = x[i] - most;
            sum += rc_expf(y[i]);
        }
        sum = rc_logf(sum);
        for (i = 0u; i < n; i++) {
            y[i] = y[i] - sum;
        }
    }
}
