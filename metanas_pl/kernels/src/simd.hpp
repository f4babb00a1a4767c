// Vectors of L numbers, as GCC and clang know them, and the sizes that all kernels share.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int kBytes = 64;  // of a vector register
constexpr int kRows = 6;    // pixels that a product computes at once: kRows * 2 sums fill the registers
#elif defined(__AVX2__)
constexpr int kBytes = 32;
constexpr int kRows = 4;
#else
constexpr int kBytes = 16;
constexpr int kRows = 4;
#endif

constexpr int kPad = 8;  // channels of a map are padded to a multiple of it

template <class S, int L>
struct VectorOf {
    typedef S type __attribute__((vector_size(sizeof(S) * L), aligned(sizeof(S)), may_alias));
};
template <class S, int L>
using Vector = typename VectorOf<S, L>::type;

template <class S, int L>
inline Vector<S, L> load(const S* p) {
    return *reinterpret_cast<const Vector<S, L>*>(p);
}

template <class S, int L>
inline void store(S* p, Vector<S, L> v) {
    *reinterpret_cast<Vector<S, L>*>(p) = v;
}

template <class S, int L>
inline Vector<S, L> every(S value) {
    return Vector<S, L>{} + value;
}

// Calls f.operator()<L>() with the widest vectors that divide a number of padded channels.
template <class S, class F>
inline void by_width(int64_t channels, F f) {
    constexpr int widest = kBytes / int(sizeof(S)) > kPad ? kBytes / int(sizeof(S)) : kPad;
    if (channels % widest == 0)
        f(std::integral_constant<int, widest>{});
    else
        f(std::integral_constant<int, kPad>{});
}
