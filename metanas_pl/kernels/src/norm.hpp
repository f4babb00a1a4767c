// Batch norm by the statistics of the first images, times a factor, added to a map.
#pragma once
#include <cmath>

#include "tile.hpp"

// Calls f.operator()<L, N>(c) for channels c to c + N * L, until all have had their turn.
template <class S, class F>
inline void by_vectors(int64_t channels, F f) {
    by_width<S>(channels, [&](auto width) {
        constexpr int L = decltype(width)::value;
        int64_t c = 0;
        for (; c + 4 * L <= channels; c += 4 * L) f(width, std::integral_constant<int, 4>{}, c);
        for (; c + 2 * L <= channels; c += 2 * L) f(width, std::integral_constant<int, 2>{}, c);
        for (; c < channels; c += L) f(width, std::integral_constant<int, 1>{}, c);
    });
}

// Adds to `sums` what `term(pixel, channel)` gives, image by image, so that long sums stay exact.
template <class S, class F>
void sum_up(int64_t images, int64_t pixels, int64_t channels, double* sums, F term) {
    by_vectors<S>(channels, [&](auto width, auto number, int64_t c) {
        constexpr int L = decltype(width)::value, N = decltype(number)::value;
        for (int64_t b = 0; b < images; b++) {
            Vector<S, L> part[N] = {};
            for (int64_t m = b * pixels; m < (b + 1) * pixels; m++)
                for (int n = 0; n < N; n++) part[n] += term(width, m, c + n * L);
            for (int n = 0; n < N; n++)
                for (int i = 0; i < L; i++) sums[c + n * L + i] += double(part[n][i]);
        }
    });
}

// Mean and 1 / sqrt(variance + eps) of each channel of a map that is its own root.
template <class S>
void statistics(const Map& map, const S* z, int64_t images, double eps, S* mean, S* r, double* sums) {
    const int64_t channels = map.channels, n = images * map.pixels();
    std::fill(sums, sums + channels, 0.0);
    sum_up<S>(images, map.pixels(), channels, sums, [&](auto width, int64_t m, int64_t c) {
        return load<S, decltype(width)::value>(z + m * channels + c);
    });
    for (int64_t c = 0; c < channels; c++) mean[c] = S(sums[c] / double(n));
    std::fill(sums, sums + channels, 0.0);
    sum_up<S>(images, map.pixels(), channels, sums, [&](auto width, int64_t m, int64_t c) {
        constexpr int L = decltype(width)::value;
        const Vector<S, L> d = load<S, L>(z + m * channels + c) - load<S, L>(mean + c);
        return d * d;
    });
    for (int64_t c = 0; c < channels; c++) r[c] = S(1.0 / std::sqrt(sums[c] / double(n) + eps));
}

// to = (or +=) scale * z + shift, channel by channel; without a scale it is `factor * z`.
template <class S>
void scale_add(int64_t rows, const S* z, int64_t z_stride, const S* scale, const S* shift, S* to, int64_t stride,
               int64_t channels, bool add) {
    by_vectors<S>(channels, [&](auto width, auto number, int64_t c) {
        constexpr int L = decltype(width)::value, N = decltype(number)::value;
        Vector<S, L> a[N], b[N];
        for (int n = 0; n < N; n++) {
            a[n] = load<S, L>(scale + c + n * L);
            b[n] = shift ? load<S, L>(shift + c + n * L) : Vector<S, L>{};
        }
        for (int64_t m = 0; m < rows; m++)
            for (int n = 0; n < N; n++) {
                S* p = to + m * stride + c + n * L;
                const Vector<S, L> y = a[n] * load<S, L>(z + m * z_stride + c + n * L) + b[n];
                store<S, L>(p, add ? load<S, L>(p) + y : y);
            }
    });
}

// to = (or +=) a * g + b * z + c: the gradient of what was normalised.
template <class S>
void combine(int64_t rows, const S* g, int64_t g_stride, const S* z, const S* of_g, const S* of_z, const S* constant,
             S* to, int64_t channels, bool add) {
    by_vectors<S>(channels, [&](auto width, auto number, int64_t at) {
        constexpr int L = decltype(width)::value, N = decltype(number)::value;
        Vector<S, L> a[N], b[N], c[N];
        for (int n = 0; n < N; n++) {
            a[n] = load<S, L>(of_g + at + n * L);
            b[n] = load<S, L>(of_z + at + n * L);
            c[n] = load<S, L>(constant + at + n * L);
        }
        for (int64_t m = 0; m < rows; m++)
            for (int n = 0; n < N; n++) {
                const int64_t i = at + n * L;
                S* p = to + m * channels + i;
                const Vector<S, L> y = a[n] * load<S, L>(g + m * g_stride + i) +
                                       (b[n] * load<S, L>(z + m * channels + i) + c[n]);
                store<S, L>(p, add ? load<S, L>(p) + y : y);
            }
    });
}
