// Maps of one task, and one image of a map with zeros around it.
//
// A map holds (images, height, width, channels), channels last and padded to a multiple of kPad. It may be a
// part of the channels of another map, its root: what is joined is written where it will be read.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "simd.hpp"

struct Map {
    int64_t root;      // map that holds the numbers: itself, or what it is joined into
    int64_t prefix;    // numbers per image of the roots before it
    int64_t gradient;  // the same in the memory of gradients, where maps take turns; -1: it has none
    int64_t stride;    // channels of the root
    int64_t offset;    // first channel in the root
    int64_t channels;  // padded
    int64_t blocks;    // maps that are joined in it
    int64_t real;      // channels without padding
    int64_t height, width;
    int64_t statistics;  // where its mean and 1 / deviation are; -1: it is not normalised

    int64_t pixels() const { return height * width; }
    int64_t image() const { return pixels() * stride; }
    // Where each channel of those without padding lies.
    std::vector<int64_t> positions() const {
        const int64_t block = real / blocks;
        std::vector<int64_t> found;
        for (int64_t c = 0; c < real; c++) found.push_back(c / block * (channels / blocks) + c % block);
        return found;
    }
};

// How output pixels of a convolution or a pooling lie on its input.
struct Window {
    int64_t rows, columns, stride, dilation, above, left;  // kernel and padding
    int64_t height, width;                                 // of the padded input
    std::vector<int64_t> at;    // first number of each output pixel's window in the tile
    std::vector<int64_t> taps;  // numbers from there to each entry of the kernel

    Window(const int64_t* kernel, const Map& in, const Map& out)
        : rows(kernel[0]), columns(kernel[1]), stride(kernel[2]), dilation(kernel[3]),
          above(kernel[4]), left(kernel[5]),
          height(std::max((out.height - 1) * stride + (rows - 1) * dilation + 1, in.height + above)),
          width(std::max((out.width - 1) * stride + (columns - 1) * dilation + 1, in.width + left)) {
        for (int64_t y = 0; y < out.height; y++)
            for (int64_t x = 0; x < out.width; x++)
                at.push_back((y * stride * width + x * stride) * in.channels);
        for (int64_t y = 0; y < rows; y++)
            for (int64_t x = 0; x < columns; x++)
                taps.push_back((y * dilation * width + x * dilation) * in.channels);
    }
    int64_t numbers(const Map& in) const { return height * width * in.channels; }
};

// Calls f(from, to, numbers) for each stretch of an image that lies in one piece, in the image and in a tile.
template <class F>
inline void each_stretch(const Window& window, const Map& map, F f) {
    const int64_t whole = map.stride == map.channels ? map.width : 1;
    for (int64_t y = 0; y < map.height; y++)
        for (int64_t x = 0; x < map.width; x += whole)
            f((y * map.width + x) * map.stride, ((y + window.above) * window.width + x + window.left) * map.channels,
              whole * map.channels);
}

// Copies an image into a tile, through ReLU or not, with `around` on every side.
template <class S>
void fill(S* tile, const Window& window, const Map& map, const S* image, bool relu, S around) {
    const int64_t row = window.width * map.channels, left = window.left * map.channels,
                  right = left + map.width * map.channels;
    std::fill(tile, tile + window.above * row, around);
    for (int64_t y = window.above; y < window.above + map.height; y++) {
        std::fill(tile + y * row, tile + y * row + left, around);
        std::fill(tile + y * row + right, tile + (y + 1) * row, around);
    }
    std::fill(tile + (map.height + window.above) * row, tile + window.height * row, around);
    each_stretch(window, map, [&](int64_t at, int64_t in_tile, int64_t n) {
        const S* from = image + at;
        S* to = tile + in_tile;
        if (relu)
            for (int64_t c = 0; c < n; c++) to[c] = from[c] < 0 ? S(0) : from[c];
        else
            for (int64_t c = 0; c < n; c++) to[c] = from[c];
    });
}

// Passes the gradient of a tile on to that of its image: through ReLU, added or as the first.
template <class S>
void give_back(const S* tile, const Window& window, const Map& map, const S* image, S* gradient, bool relu, bool add) {
    each_stretch(window, map, [&](int64_t at, int64_t in_tile, int64_t n) {
        const S *from = tile + in_tile, *seen = image + at;
        S* to = gradient + at;
        if (relu && add)
            for (int64_t c = 0; c < n; c++) to[c] += seen[c] > 0 ? from[c] : S(0);
        else if (relu)
            for (int64_t c = 0; c < n; c++) to[c] = seen[c] > 0 ? from[c] : S(0);
        else if (add)
            for (int64_t c = 0; c < n; c++) to[c] += from[c];
        else
            for (int64_t c = 0; c < n; c++) to[c] = from[c];
    });
}
