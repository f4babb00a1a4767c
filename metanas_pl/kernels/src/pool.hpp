// Pooling of one image; a tile brings the padding, minus infinity or zero.
#pragma once
#include "tile.hpp"

template <class S>
void max_pool(const S* tile, const Window& window, const Map& map, S* to) {
    by_width<S>(map.channels, [&](auto width) {
        constexpr int L = decltype(width)::value;
        for (int64_t m = 0; m < map.pixels(); m++)
            for (int64_t c = 0; c < map.channels; c += L) {
                const S* x = tile + window.at[m] + c;
                Vector<S, L> most = load<S, L>(x + window.taps[0]);
                for (size_t t = 1; t < window.taps.size(); t++) {
                    const Vector<S, L> v = load<S, L>(x + window.taps[t]);
                    most = (v > most) | (v != v) ? v : most;
                }
                store<S, L>(to + m * map.channels + c, most);
            }
    });
}

// The first of equal entries gets the gradient, as in PyTorch.
template <class S>
void max_pool_gradient(const S* tile, const Window& window, const Map& map, const S* z, const S* g, S* gradient) {
    by_width<S>(map.channels, [&](auto width) {
        constexpr int L = decltype(width)::value;
        for (int64_t m = 0; m < map.pixels(); m++)
            for (int64_t c = 0; c < map.channels; c += L) {
                const int64_t i = m * map.channels + c, at = window.at[m] + c;
                const Vector<S, L> most = load<S, L>(z + i);
                Vector<S, L> left = load<S, L>(g + i);
                for (const int64_t tap : window.taps) {
                    const auto hit = load<S, L>(tile + at + tap) == most;
                    S* p = gradient + at + tap;
                    store<S, L>(p, load<S, L>(p) + (hit ? left : Vector<S, L>{}));
                    left = hit ? Vector<S, L>{} : left;
                }
            }
    });
}

// 1 / entries of each window that are no padding.
inline std::vector<double> shares(const Window& w, const Map& in, const Map& out) {
    auto inside = [](int64_t first, int64_t count, int64_t dilation, int64_t side) {
        int64_t n = 0;
        for (int64_t i = 0; i < count; i++) n += first + i * dilation >= 0 && first + i * dilation < side;
        return n;
    };
    std::vector<double> found;
    for (int64_t y = 0; y < out.height; y++)
        for (int64_t x = 0; x < out.width; x++)
            found.push_back(1.0 / double(inside(y * w.stride - w.above, w.rows, w.dilation, in.height) *
                                         inside(x * w.stride - w.left, w.columns, w.dilation, in.width)));
    return found;
}

template <class S>
void average_pool(const S* tile, const Window& window, const Map& map, const std::vector<double>& share, S* to) {
    by_width<S>(map.channels, [&](auto width) {
        constexpr int L = decltype(width)::value;
        for (int64_t m = 0; m < map.pixels(); m++)
            for (int64_t c = 0; c < map.channels; c += L) {
                Vector<S, L> sum = {};
                for (const int64_t tap : window.taps) sum += load<S, L>(tile + window.at[m] + tap + c);
                store<S, L>(to + m * map.channels + c, sum * S(share[m]));
            }
    });
}

template <class S>
void average_pool_gradient(const Window& window, const Map& map, const std::vector<double>& share, const S* g,
                           S* gradient) {
    by_width<S>(map.channels, [&](auto width) {
        constexpr int L = decltype(width)::value;
        for (int64_t m = 0; m < map.pixels(); m++)
            for (int64_t c = 0; c < map.channels; c += L) {
                const Vector<S, L> part = load<S, L>(g + m * map.channels + c) * S(share[m]);
                for (const int64_t tap : window.taps) {
                    S* p = gradient + window.at[m] + tap + c;
                    store<S, L>(p, load<S, L>(p) + part);
                }
            }
    });
}
