// Depthwise convolution of one image: a kernel of its own for each channel.
#pragma once
#include "tile.hpp"

// Calls f(width, taps, c) for each vector of channels, with 3x3 or 5x5 taps as a constant: they stay in registers.
template <class S, class F>
inline void by_kernel(int64_t channels, int64_t taps, F f) {
    by_width<S>(channels, [&](auto width) {
        for (int64_t c = 0; c < channels; c += decltype(width)::value)
            if (taps == 9)
                f(width, std::integral_constant<int, 9>{}, c);
            else
                f(width, std::integral_constant<int, 25>{}, c);
    });
}

// to[m][c] = sum over taps of tile[at m, tap][c] * weights[tap][c].
template <class S, int L, int T>
inline void depthwise_of(const S* tile, const Window& window, int64_t channels, const S* weights, int64_t rows, S* to) {
    Vector<S, L> w[T];
    for (int t = 0; t < T; t++) w[t] = load<S, L>(weights + t * channels);
    for (int64_t m = 0; m < rows; m++) {
        const S* x = tile + window.at[m];
        Vector<S, L> sum = load<S, L>(x + window.taps[0]) * w[0];
        for (int t = 1; t < T; t++) sum += load<S, L>(x + window.taps[t]) * w[t];
        store<S, L>(to + m * channels, sum);
    }
}

// Adds up the gradients of the weights, of[tap] += sum over m of g[m] * tile[at m, tap].
template <class S, int L, int T>
inline void depthwise_weights_of(const S* tile, const Window& window, int64_t channels, int64_t rows, const S* g, S* of) {
    Vector<S, L> sum[T];
    for (int t = 0; t < T; t++) sum[t] = load<S, L>(of + t * channels);
    for (int64_t m = 0; m < rows; m++) {
        const S* x = tile + window.at[m];
        const Vector<S, L> v = load<S, L>(g + m * channels);
        for (int t = 0; t < T; t++) sum[t] += v * load<S, L>(x + window.taps[t]);
    }
    for (int t = 0; t < T; t++) store<S, L>(of + t * channels, sum[t]);
}

// Adds up the gradient of the tile, of[at m, tap] += g[m] * weights[tap].
template <class S, int L, int T>
inline void depthwise_tile_of(const Window& window, int64_t channels, const S* weights, int64_t rows, const S* g, S* of) {
    Vector<S, L> w[T];
    for (int t = 0; t < T; t++) w[t] = load<S, L>(weights + t * channels);
    for (int64_t m = 0; m < rows; m++) {
        S* x = of + window.at[m];
        const Vector<S, L> v = load<S, L>(g + m * channels);
        for (int t = 0; t < T; t++) store<S, L>(x + window.taps[t], load<S, L>(x + window.taps[t]) + v * w[t]);
    }
}

template <class S>
void depthwise(const S* tile, const Window& window, int64_t channels, const S* weights, int64_t rows, S* to) {
    by_kernel<S>(channels, window.taps.size(), [&](auto width, auto taps, int64_t c) {
        constexpr int L = decltype(width)::value, T = decltype(taps)::value;
        depthwise_of<S, L, T>(tile + c, window, channels, weights + c, rows, to + c);
    });
}

// Gradients of the tile, unless `of_tile` is null, and of the weights, unless `of_weights` is.
template <class S>
void depthwise_gradient(const S* tile, const Window& window, int64_t channels, const S* weights, int64_t rows,
                        const S* g, S* of_tile, S* of_weights) {
    by_kernel<S>(channels, window.taps.size(), [&](auto width, auto taps, int64_t c) {
        constexpr int L = decltype(width)::value, T = decltype(taps)::value;
        if (of_tile) depthwise_tile_of<S, L, T>(window, channels, weights + c, rows, g + c, of_tile + c);
        if (of_weights) depthwise_weights_of<S, L, T>(tile + c, window, channels, rows, g + c, of_weights + c);
    });
}
