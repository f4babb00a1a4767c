// Small matrix products whose rows lie anywhere: the arithmetic of all convolutions.
#pragma once
#include "simd.hpp"

// to[m] = (or +=) sum over taps and k of from[m][taps[t] + k] * weights[t][k], for n columns.
template <class S, int L, int N, int M>
inline void product_of(const S* const* from, const int64_t* taps, int64_t n_taps, int64_t depth, const S* weights,
                       int64_t columns, S* const* to, bool add) {
    Vector<S, L> sum[M][N];
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) sum[m][n] = add ? load<S, L>(to[m] + n * L) : Vector<S, L>{};
    for (int64_t t = 0; t < n_taps; t++) {
        const int64_t tap = taps[t];
        for (int64_t k = 0; k < depth; k++, weights += columns) {
            Vector<S, L> w[N];
            for (int n = 0; n < N; n++) w[n] = load<S, L>(weights + n * L);
            for (int m = 0; m < M; m++)
                for (int n = 0; n < N; n++) sum[m][n] += from[m][tap + k] * w[n];
        }
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) store<S, L>(to[m] + n * L, sum[m][n]);
}

template <class S, int L, int N, int M, class From, class To>
inline int64_t rows_of(int64_t m, int64_t rows, From from, const int64_t* taps, int64_t n_taps, int64_t depth,
                       const S* weights, int64_t columns, To to, bool add) {
    for (; m + M <= rows; m += M) {
        const S* in[M];
        S* out[M];
        for (int i = 0; i < M; i++) in[i] = from(m + i), out[i] = to(m + i);
        product_of<S, L, N, M>(in, taps, n_taps, depth, weights, columns, out, add);
    }
    return m;
}

template <class S, int L, int N, class From, class To>
inline void columns_of(int64_t rows, From from, const int64_t* taps, int64_t n_taps, int64_t depth, const S* weights,
                       int64_t columns, To to, bool add) {
    int64_t m = rows_of<S, L, N, kRows>(0, rows, from, taps, n_taps, depth, weights, columns, to, add);
    m = rows_of<S, L, N, 4>(m, rows, from, taps, n_taps, depth, weights, columns, to, add);
    m = rows_of<S, L, N, 2>(m, rows, from, taps, n_taps, depth, weights, columns, to, add);
    rows_of<S, L, N, 1>(m, rows, from, taps, n_taps, depth, weights, columns, to, add);
}

// Products of `rows` rows with weights (taps, depth, columns); `from` and `to` say where a row is.
template <class S, class From, class To>
void product(int64_t rows, From from, const int64_t* taps, int64_t n_taps, int64_t depth, const S* weights,
             int64_t columns, To to, bool add = false) {
    by_width<S>(columns, [&](auto width) {
        constexpr int L = decltype(width)::value;
        int64_t n = 0;
        for (; n + 2 * L <= columns; n += 2 * L)
            columns_of<S, L, 2>(rows, from, taps, n_taps, depth, weights + n, columns,
                                [&](int64_t m) { return to(m) + n; }, add);
        if (n < columns)
            columns_of<S, L, 1>(rows, from, taps, n_taps, depth, weights + n, columns,
                                [&](int64_t m) { return to(m) + n; }, add);
    });
}

template <class S, int L, int N, int K, class From>
inline int64_t outer_of(int64_t k, int64_t depth, int64_t rows, From from, const S* g, int64_t columns, S* sums) {
    for (; k + K <= depth; k += K) {
        Vector<S, L> sum[K][N];
        for (int i = 0; i < K; i++)
            for (int n = 0; n < N; n++) sum[i][n] = load<S, L>(sums + (k + i) * columns + n * L);
        for (int64_t m = 0; m < rows; m++) {
            const S* x = from(m) + k;
            Vector<S, L> v[N];
            for (int n = 0; n < N; n++) v[n] = load<S, L>(g + m * columns + n * L);
            for (int i = 0; i < K; i++)
                for (int n = 0; n < N; n++) sum[i][n] += x[i] * v[n];
        }
        for (int i = 0; i < K; i++)
            for (int n = 0; n < N; n++) store<S, L>(sums + (k + i) * columns + n * L, sum[i][n]);
    }
    return k;
}

// sums[k] += sum over rows of from(row)[k] * g[row]: the gradient of the weights of a product.
template <class S, class From>
void outer(int64_t rows, From from, int64_t depth, const S* g, int64_t columns, S* sums) {
    by_width<S>(columns, [&](auto width) {
        constexpr int L = decltype(width)::value;
        int64_t n = 0;
        for (; n + 2 * L <= columns; n += 2 * L) {
            int64_t k = outer_of<S, L, 2, kRows>(0, depth, rows, from, g + n, columns, sums + n);
            outer_of<S, L, 2, 1>(k, depth, rows, from, g + n, columns, sums + n);
        }
        if (n < columns) {
            int64_t k = outer_of<S, L, 1, kRows>(0, depth, rows, from, g + n, columns, sums + n);
            outer_of<S, L, 1, 1>(k, depth, rows, from, g + n, columns, sums + n);
        }
    });
}
