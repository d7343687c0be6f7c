/* Passes over maps of bfloat16 [rows, channels], channels a multiple of 16; see fused.py, which has the formulas.
 *
 * gcc's and clang's vectors of 16 are what the machine has: one register of AVX-512, two of AVX2, four of NEON.
 */

#include <stdint.h>
#include <string.h>

#define LANES 16
#define BLOCK 512         /* rows that are summed in single precision */
#define TOP 15.0f         /* largest level */
#define MAGIC 12582912.0f /* adding and taking off 1.5 * 2^23 rounds to the nearest integer, ties to even */

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef double doubles __attribute__((vector_size(8 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE floats load(const uint16_t *from) {
    halves bits;
    memcpy(&bits, from, sizeof bits);
    return (floats)(__builtin_convertvector(bits, words) << 16);
}

INLINE void store(uint16_t *to, floats x) {
    words bits = (words)x;
    halves rounded = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, halves);
    memcpy(to, &rounded, sizeof rounded);
}

INLINE floats load_floats(const float *from) {
    floats x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void add_doubles(double *to, floats x) {
    doubles sum;
    memcpy(&sum, to, sizeof sum);
    sum += __builtin_convertvector(x, doubles);
    memcpy(to, &sum, sizeof sum);
}

INLINE floats choose(ints condition, floats yes, floats no) { return (floats)((condition & (ints)yes) | (~condition & (ints)no)); }

INLINE floats clamp(floats z) {
    floats zero = {0}, top = zero + TOP;
    z = choose(z > zero, z, zero);
    return choose(z < top, z, top);
}

INLINE floats nearest(floats z) { return (z + MAGIC) - MAGIC; }

/* Sums of v and of v * v per channel. */
void statistics(const uint16_t *v, long rows, long channels, double *sums, double *squares) {
    memset(sums, 0, channels * sizeof *sums);
    memset(squares, 0, channels * sizeof *squares);
    long chunks = channels / LANES;
    for (long start = 0; start < rows; start += BLOCK) {
        long end = start + BLOCK < rows ? start + BLOCK : rows;
        for (long k = 0; k < chunks; k++) {
            floats sum = {0}, square = {0};
            for (long i = start; i < end; i++) {
                floats x = load(v + i * channels + k * LANES);
                sum += x;
                square += x * x;
            }
            add_doubles(sums + k * LANES, sum);
            add_doubles(squares + k * LANES, square);
        }
    }
}

/* y = scale * level(z), z = gain * v + offset + residual / scale; residual may be null. */
void activate(const uint16_t *v, const uint16_t *residual, long rows, long channels, const float *gain, const float *offset,
              float scale, int quantised, uint16_t *y) {
    float inverse = 1 / scale;
    for (long k = 0; k < channels; k += LANES) {
        floats a = load_floats(gain + k), b = load_floats(offset + k);
        for (long i = k; i < rows * channels; i += channels) {
            floats z = load(v + i) * a + b;
            if (residual) z += load(residual + i) * inverse;
            z = clamp(z);
            if (quantised) z = nearest(z);
            store(y + i, z * scale);
        }
    }
}

/* g, the gradient where the activation does not saturate; sums of g and of g * v per channel and of the scale's gradient. */
void gradient_sums(const uint16_t *gradient, const uint16_t *v, const uint16_t *residual, long rows, long channels,
                   const float *gain, const float *offset, float scale, int quantised, uint16_t *g, double *sums,
                   double *products, double *scale_sums) {
    float inverse = 1 / scale, margin = quantised ? 0.5f : 0.0f;
    floats zero = {0}, low = zero - margin, high = zero + (TOP + margin);
    memset(sums, 0, channels * sizeof *sums);
    memset(products, 0, channels * sizeof *products);
    memset(scale_sums, 0, channels * sizeof *scale_sums);
    for (long start = 0; start < rows; start += BLOCK) {
        long end = start + BLOCK < rows ? start + BLOCK : rows;
        for (long k = 0; k < channels; k += LANES) {
            floats a = load_floats(gain + k), b = load_floats(offset + k);
            floats sum = {0}, product = {0}, scales = {0};
            for (long i = start * channels + k; i < end * channels; i += channels) {
                floats x = load(v + i), incoming = load(gradient + i);
                floats z = x * a + b;
                if (residual) z += load(residual + i) * inverse;
                floats passing = (floats)((ints)incoming & (z > low) & (z < high));
                store(g + i, passing);
                sum += passing;
                product += passing * x;
                if (quantised) scales += incoming * nearest(clamp(z)) - passing * z;
            }
            add_doubles(sums + k, sum);
            add_doubles(products + k, product);
            add_doubles(scale_sums + k, scales);
        }
    }
}

/* out = a * g + p * v + q; out may be g. */
void input_gradient(const uint16_t *g, const uint16_t *v, long rows, long channels, const float *a, const float *p,
                    const float *q, uint16_t *out) {
    for (long start = 0; start < rows; start += BLOCK) {
        long end = start + BLOCK < rows ? start + BLOCK : rows;
        for (long k = 0; k < channels; k += LANES) {
            floats by_g = load_floats(a + k), by_v = load_floats(p + k), constant = load_floats(q + k);
            for (long i = start * channels + k; i < end * channels; i += channels)
                store(out + i, load(g + i) * by_g + load(v + i) * by_v + constant);
        }
    }
}
