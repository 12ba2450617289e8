/* rc_matmul.c - MatMul. */
#include "rc_matmul.h"

static void multiply(const rc_matmul *matmul, const float *a, const float *b, float *y)
{
    const uint32_t inner = matmul->inner, columns = matmul->columns;
    uint32_t row, i, column;

    for (row = 0u; row < matmul->rows; row++) {
        for (column = 0u; column < columns; column++) {
            y[column] = 0.0f;
        }
        for (i = 0u; i < inner; i++) {
            const float left = a[i];
            const float *const right = b + i * columns;
            for (column = 0u; column < columns; column++) {
                y[column] += left * right[column];
            }
        }
        a += inner;
        y += columns;
    }
}

void rc_multiply_matrices(const rc_matmul *matmul, const float *a, const float *b, float *y)
{
    const uint32_t n = matmul->a.sizes[RC_AXES - 1u], size = matmul->rows * matmul->columns;
    rc_walk walk_a, walk_b;

    rc_walk_open(&walk_a, &matmul->a, 0);
    rc_walk_open(&walk_b, &matmul->b, 0);
    do {
        int32_t at_a = walk_a.offset, at_b = walk_b.offset;
        uint32_t i;
        for (i = n; i != 0u; i--) {
            multiply(matmul, a + at_a, b + at_b, y);
            y += size;
            at_a += matmul->a.strides[RC_AXES - 1u];
            at_b += matmul->b.strides[RC_AXES - 1u];
        }
        (void)rc_walk_line(&walk_b);
    } while (rc_walk_line(&walk_a) != 0u);
}
