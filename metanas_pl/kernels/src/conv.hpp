// Weights of convolutions as the products want them, (taps, inputs, outputs) with padding, and back.
#pragma once
#include "tile.hpp"

// A weight of PyTorch, (outputs, inputs, taps), that fills the outputs from `first` on of taps from `tap` on.
struct Part {
    int64_t first, outputs, tap, taps;
};

// Calls f(number in what is packed) for each entry of a weight, in its order.
template <class F>
inline void each_entry(const Part& part, const Map& in, const Map& out, F f) {
    const auto positions = in.positions();
    const int64_t tap = in.channels * out.channels;
    for (int64_t o = 0; o < part.outputs; o++)
        for (const int64_t i : positions) {
            const int64_t at = part.tap * tap + i * out.channels + part.first + o;
            for (int64_t t = 0; t < part.taps; t++) f(at + t * tap);
        }
}

template <class S>
void pack(const S* weight, const Part& part, const Map& in, const Map& out, S* packed) {
    each_entry(part, in, out, [&](int64_t at) { packed[at] = *weight++; });
}

template <class S>
void unpack(const S* packed, const Part& part, const Map& in, const Map& out, S* weight) {
    each_entry(part, in, out, [&](int64_t at) { *weight++ = packed[at]; });
}

// (taps, inputs, outputs) -> (taps, outputs, inputs).
template <class S>
void turn(const S* packed, int64_t taps, int64_t inputs, int64_t outputs, S* turned) {
    for (int64_t t = 0; t < taps; t++, packed += inputs * outputs, turned += inputs * outputs)
        for (int64_t i = 0; i < inputs; i++)
            for (int64_t o = 0; o < outputs; o++) turned[o * inputs + i] = packed[i * outputs + o];
}

// (channels, taps) -> (taps, padded channels), and back.
template <class S>
void pack_depthwise(const S* weight, int64_t taps, const Map& map, S* packed) {
    for (const int64_t c : map.positions())
        for (int64_t t = 0; t < taps; t++) packed[t * map.channels + c] = *weight++;
}

template <class S>
void unpack_depthwise(const S* packed, int64_t taps, const Map& map, S* weight) {
    for (const int64_t c : map.positions())
        for (int64_t t = 0; t < taps; t++) *weight++ = packed[t * map.channels + c];
}
