// A network as a list of instructions on maps, run for one task after the other, forward and backward.
#pragma once
#include "conv.hpp"
#include "norm.hpp"
#include "pool.hpp"
#include "depthwise.hpp"
#include "product.hpp"

enum Operation : int64_t { kConv, kReduce, kSeparable, kMaxPool, kAveragePool, kNorm, kAdd, kClear, kMean };

struct Instruction {
    int64_t operation, source, target;
    int64_t weights[2];  // numbers of weights; -1: none. Of kNorm: scale and shift
    int64_t kernel[6];   // rows, columns, stride, dilation, padding above and to the left
    int64_t relu;        // the source is seen through ReLU
    int64_t gate;        // the factor of the output; -1: one
    int64_t first;       // the output is the first that is written into the target
    double eps;
};

// What does not change from call to call.
struct Program {
    int64_t n_maps, n_instructions, n_gates;
    int64_t numbers, gradient_numbers, statistics;  // per image, per image, per task
    const Map* maps;
    const Instruction* instructions;
};

template <class S>
struct Call {
    int64_t tasks, images, reference, threads, skip_zeros, keep;
    const S* x;
    int64_t strides[5];  // of x: tasks, images, channels, rows, columns
    const S* const* weights;
    const S* factors;  // (tasks, gates)
    S* work;           // (tasks if keep, else threads; numbers * images)
    S* statistics;     // (tasks; mean, 1 / deviation of each map that is normalised)
    S* out;            // (images, tasks, features)
    // Only for the gradient:
    const S* of_out;
    S* const* of_weights;  // null: not wanted
    S* of_factors;         // null: not wanted
    S* gradients;          // (threads; gradient_numbers * images)
};

template <class S>
class Task {
  public:
    Task(const Program& program, const Call<S>& call, int64_t task, int64_t thread)
        : p(program), c(call), task(task), work(c.work + (c.keep ? task : thread) * p.numbers * c.images),
          gradients(c.gradients ? c.gradients + thread * p.gradient_numbers * c.images : nullptr),
          live(p.n_instructions), touched(p.n_maps) {
        find_live();
    }

    void forward() {
        copy_images();
        for (int64_t i = 0; i < p.n_instructions; i++)
            if (live[i]) forward(p.instructions[i]);
    }

    void backward() {
        find_wanted();
        for (int64_t i = p.n_instructions - 1; i >= 0; i--)
            if (live[i] && wanted[p.instructions[i].target]) backward(p.instructions[i]);
    }

  private:
    const Program& p;
    const Call<S>& c;
    const int64_t task;
    S* const work;
    S* const gradients;
    std::vector<char> live, touched, wanted;
    std::vector<S> packed, turned, of_packed, tile, of_tile, inside, of_inside;
    std::vector<double> sums, sums_z;

    const Map& map(int64_t i) const { return p.maps[i]; }
    S* data(const Map& m) const { return work + m.prefix * c.images + m.offset; }
    S* gradient(const Map& m) const { return gradients + m.gradient * c.images + m.offset; }
    S* mean(const Map& m) const { return c.statistics + task * p.statistics + m.statistics; }
    S factor(const Instruction& i) const { return i.gate < 0 ? S(1) : c.factors[task * p.n_gates + i.gate]; }

    bool norm_of(const Instruction& i) const { return i.operation == kNorm; }

    // An instruction is live if something reads its target, and its factor is not a zero to skip.
    void find_live() {
        std::vector<char> needed(p.n_maps);
        for (int64_t i = p.n_instructions - 1; i >= 0; i--) {
            const Instruction& in = p.instructions[i];
            const bool read = in.operation == kMean || needed[in.target] || needed[map(in.target).root];
            live[i] = read && !(c.skip_zeros && in.gate >= 0 && factor(in) == 0);
            if (live[i] && in.source >= 0) needed[in.source] = 1;
        }
    }

    // The gradient of a map is wanted if what it was computed from has a weight or a factor to learn.
    void find_wanted() {
        wanted.assign(p.n_maps, 0);
        for (int64_t i = 0; i < p.n_instructions; i++) {
            const Instruction& in = p.instructions[i];
            if (!live[i] || in.operation == kClear) continue;
            const bool own = (c.of_weights && in.weights[0] >= 0) || (c.of_factors && in.gate >= 0);
            if (own || wanted[in.source]) wanted[in.target] = wanted[map(in.target).root] = 1;
        }
    }

    bool passes_on(const Instruction& in) const { return wanted[in.source]; }

    void copy_images() {
        const Map& m = map(0);
        S* to = data(m);
        for (int64_t b = 0; b < c.images; b++)
            for (int64_t y = 0; y < m.height; y++)
                for (int64_t x = 0; x < m.width; x++)
                    for (int64_t k = 0; k < m.channels; k++)
                        *to++ = c.x[task * c.strides[0] + b * c.strides[1] + k * c.strides[2] + y * c.strides[3] +
                                    x * c.strides[4]];
    }

    Window window(const Instruction& in) const {
        Window found(in.kernel, map(in.source), map(in.target));
        if (in.operation == kReduce) {
            const Map& m = map(in.source);
            const int64_t odd_row = 1 - m.height % 2, odd_column = 1 - m.width % 2;
            found.taps.push_back((odd_row * found.width + odd_column) * m.channels);
        }
        return found;
    }

    int64_t numbers_of(int64_t weight_numbers) const { return task * weight_numbers; }

    // The weights of an instruction, each with the part of the packed ones that it fills.
    template <class F>
    void each_weight(const Instruction& in, F f) const {
        const Map &a = map(in.source), &b = map(in.target);
        const int64_t taps = in.kernel[0] * in.kernel[1];
        if (in.operation == kReduce) {
            const int64_t half = b.real - b.real / 2;
            f(in.weights[0], Part{0, half, 0, 1});
            f(in.weights[1], Part{half, b.real / 2, 1, 1});
        } else if (in.operation == kSeparable)
            f(in.weights[1], Part{0, b.real, 0, 1});
        else
            f(in.weights[0], Part{0, b.real, 0, taps});
        (void)a;
    }

    void pack_weights(const Instruction& in, int64_t n_taps) {
        const Map &a = map(in.source), &b = map(in.target);
        packed.assign(n_taps * a.channels * b.channels, S(0));
        each_weight(in, [&](int64_t w, const Part& part) {
            pack(c.weights[w] + task * part.outputs * a.real * part.taps, part, a, b, packed.data());
        });
    }

    void forward(const Instruction& in) {
        const Map& b = map(in.target);
        switch (in.operation) {
            case kConv:
            case kReduce: convolve(in); break;
            case kSeparable: convolve_separably(in); break;
            case kMaxPool:
            case kAveragePool: pool(in); break;
            case kNorm: normalise(in); break;
            case kAdd: add(in); break;
            case kClear:
                for (int64_t m = 0; m < c.images * b.pixels(); m++)
                    std::fill_n(data(b) + m * b.stride, b.channels, S(0));
                break;
            case kMean: average(in); break;
        }
        if (b.statistics >= 0 && in.operation <= kAveragePool) {
            sums.resize(b.channels);
            statistics(b, data(b), c.reference, in.eps, mean(b), mean(b) + b.channels, sums.data());
        }
    }

    void convolve(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const Window w = window(in);
        const int64_t n_taps = int64_t(w.taps.size());
        pack_weights(in, n_taps);
        tile.resize(w.numbers(a));
        for (int64_t i = 0; i < c.images; i++) {
            fill(tile.data(), w, a, data(a) + i * a.image(), in.relu, S(0));
            S* to = data(b) + i * b.image();
            product<S>(b.pixels(), [&](int64_t m) { return tile.data() + w.at[m]; }, w.taps.data(), n_taps, a.channels,
                       packed.data(), b.channels, [&](int64_t m) { return to + m * b.channels; });
        }
    }

    void convolve_separably(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const Window w = window(in);
        const int64_t taps = int64_t(w.taps.size()), zero = 0;
        pack_weights(in, 1);
        turned.assign(taps * a.channels, S(0));
        pack_depthwise(c.weights[in.weights[0]] + task * a.real * taps, taps, a, turned.data());
        tile.resize(w.numbers(a));
        inside.resize(b.pixels() * a.channels);
        for (int64_t i = 0; i < c.images; i++) {
            fill(tile.data(), w, a, data(a) + i * a.image(), in.relu, S(0));
            depthwise(tile.data(), w, a.channels, turned.data(), b.pixels(), inside.data());
            S* to = data(b) + i * b.image();
            product<S>(b.pixels(), [&](int64_t m) { return inside.data() + m * a.channels; }, &zero, 1, a.channels,
                       packed.data(), b.channels, [&](int64_t m) { return to + m * b.channels; });
        }
    }

    void pool(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const Window w = window(in);
        const bool most = in.operation == kMaxPool;
        const auto share = most ? std::vector<double>() : shares(w, a, b);
        tile.resize(w.numbers(a));
        for (int64_t i = 0; i < c.images; i++) {
            const S around = most ? -std::numeric_limits<S>::infinity() : S(0);
            fill(tile.data(), w, a, data(a) + i * a.image(), false, around);
            S* to = data(b) + i * b.image();
            if (most)
                max_pool(tile.data(), w, b, to);
            else
                average_pool(tile.data(), w, b, share, to);
        }
    }

    // Scale w and shift b of a norm, padded; without them 1 and 0.
    void affine(const Instruction& in, std::vector<S>& scale, std::vector<S>& shift) const {
        const Map& a = map(in.source);
        scale.assign(a.channels, S(1));
        shift.assign(a.channels, S(0));
        if (in.weights[0] < 0) return;
        std::copy_n(c.weights[in.weights[0]] + task * a.real, a.real, scale.begin());
        std::copy_n(c.weights[in.weights[1]] + task * a.real, a.real, shift.begin());
    }

    void normalise(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const S *m = mean(a), *r = m + a.channels, f = factor(in);
        std::vector<S> scale, shift;
        affine(in, scale, shift);
        for (int64_t k = 0; k < a.channels; k++) {
            scale[k] *= f * r[k];
            shift[k] = f * shift[k] - m[k] * scale[k];
            if (k >= a.real) scale[k] = shift[k] = 0;  // padding stays zero
        }
        scale_add(c.images * a.pixels(), data(a), a.stride, scale.data(), shift.data(), data(b), b.stride, a.channels,
                  !in.first);
    }

    void add(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const std::vector<S> scale(a.channels, factor(in));
        scale_add<S>(c.images * a.pixels(), data(a), a.stride, scale.data(), nullptr, data(b), b.stride, a.channels,
                     !in.first);
    }

    void average(const Instruction& in) {
        const Map& a = map(in.source);
        const auto positions = a.positions();
        for (int64_t i = 0; i < c.images; i++) {
            sums.assign(a.channels, 0.0);
            const S* from = data(a) + i * a.image();
            sum_up<S>(1, a.pixels(), a.channels, sums.data(), [&](auto width, int64_t m, int64_t k) {
                return load<S, decltype(width)::value>(from + m * a.stride + k);
            });
            S* to = c.out + (i * c.tasks + task) * a.real;
            for (int64_t k = 0; k < a.real; k++) to[k] = S(sums[positions[k]] / double(a.pixels()));
        }
    }

    bool touch(const Map& m) {
        const bool before = touched[m.root];
        touched[m.root] = 1;
        return before;
    }

    void backward(const Instruction& in) {
        switch (in.operation) {
            case kConv:
            case kReduce: convolve_back(in); break;
            case kSeparable: convolve_separably_back(in); break;
            case kMaxPool:
            case kAveragePool: pool_back(in); break;
            case kNorm: normalise_back(in); break;
            case kAdd: add_back(in); break;
            case kMean: average_back(in); break;
        }
    }

    // Gradients of a product's weights, and of its input in the form of a tile, from those of its output.
    template <class From, class To>
    void product_back(int64_t rows, From from, const int64_t* taps, int64_t n_taps, const Map& a, const Map& b,
                      const S* g, To to, bool pass) {
        const int64_t zero = 0, size = a.channels * b.channels;
        for (int64_t t = 0; t < n_taps; t++) {
            if (c.of_weights)
                outer<S>(rows, [&](int64_t m) { return from(m) + taps[t]; }, a.channels, g, b.channels,
                         of_packed.data() + t * size);
            if (pass)
                product<S>(rows, [&](int64_t m) { return g + m * b.channels; }, &zero, 1, b.channels,
                           turned.data() + t * size, a.channels, [&](int64_t m) { return to(m) + taps[t]; }, true);
        }
    }

    void give_weights(const Instruction& in) const {
        const Map &a = map(in.source), &b = map(in.target);
        if (!c.of_weights) return;
        each_weight(in, [&](int64_t w, const Part& part) {
            unpack(of_packed.data(), part, a, b, c.of_weights[w] + task * part.outputs * a.real * part.taps);
        });
    }

    void prepare_back(const Instruction& in, int64_t n_taps) {
        const Map &a = map(in.source), &b = map(in.target);
        pack_weights(in, n_taps);
        turned.resize(packed.size());
        turn(packed.data(), n_taps, a.channels, b.channels, turned.data());
        of_packed.assign(packed.size(), S(0));
    }

    void convolve_back(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const Window w = window(in);
        const int64_t n_taps = int64_t(w.taps.size());
        const bool pass = passes_on(in);
        prepare_back(in, n_taps);
        tile.resize(w.numbers(a));
        const bool add = pass && touch(a);
        for (int64_t i = 0; i < c.images; i++) {
            const S* image = data(a) + i * a.image();
            if (c.of_weights) fill(tile.data(), w, a, image, in.relu, S(0));
            of_tile.assign(tile.size(), S(0));
            product_back(
                b.pixels(), [&](int64_t m) { return tile.data() + w.at[m]; }, w.taps.data(), n_taps, a, b,
                gradient(b) + i * b.image(), [&](int64_t m) { return of_tile.data() + w.at[m]; }, pass);
            if (pass) give_back(of_tile.data(), w, a, image, gradient(a) + i * a.image(), in.relu, add);
        }
        give_weights(in);
    }

    void convolve_separably_back(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const Window w = window(in);
        const int64_t taps = int64_t(w.taps.size()), zero = 0;
        const bool pass = passes_on(in), add = pass && touch(a);
        prepare_back(in, 1);
        std::vector<S> kernel(taps * a.channels, S(0)), of_kernel(kernel);
        pack_depthwise(c.weights[in.weights[0]] + task * a.real * taps, taps, a, kernel.data());
        tile.resize(w.numbers(a));
        inside.resize(b.pixels() * a.channels);
        for (int64_t i = 0; i < c.images; i++) {
            const S* image = data(a) + i * a.image();
            fill(tile.data(), w, a, image, in.relu, S(0));
            if (c.of_weights) depthwise(tile.data(), w, a.channels, kernel.data(), b.pixels(), inside.data());
            of_inside.assign(inside.size(), S(0));
            auto row = [&](int64_t m) { return inside.data() + m * a.channels; };
            auto of_row = [&](int64_t m) { return of_inside.data() + m * a.channels; };
            product_back(b.pixels(), row, &zero, 1, a, b, gradient(b) + i * b.image(), of_row, true);
            of_tile.assign(tile.size(), S(0));
            depthwise_gradient(tile.data(), w, a.channels, kernel.data(), b.pixels(), of_inside.data(),
                               pass ? of_tile.data() : nullptr, c.of_weights ? of_kernel.data() : nullptr);
            if (pass) give_back(of_tile.data(), w, a, image, gradient(a) + i * a.image(), in.relu, add);
        }
        give_weights(in);
        if (c.of_weights)
            unpack_depthwise(of_kernel.data(), taps, a, c.of_weights[in.weights[0]] + task * a.real * taps);
    }

    void pool_back(const Instruction& in) {
        if (!passes_on(in)) return;
        const Map &a = map(in.source), &b = map(in.target);
        const Window w = window(in);
        const bool most = in.operation == kMaxPool, add = touch(a);
        const auto share = most ? std::vector<double>() : shares(w, a, b);
        tile.resize(w.numbers(a));
        for (int64_t i = 0; i < c.images; i++) {
            const S *image = data(a) + i * a.image(), *g = gradient(b) + i * b.image();
            of_tile.assign(tile.size(), S(0));
            if (most) {
                fill(tile.data(), w, a, image, false, -std::numeric_limits<S>::infinity());
                max_pool_gradient(tile.data(), w, b, data(b) + i * b.image(), g, of_tile.data());
            } else
                average_pool_gradient(w, b, share, g, of_tile.data());
            give_back(of_tile.data(), w, a, image, gradient(a) + i * a.image(), false, add);
        }
    }

    void normalise_back(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const int64_t channels = a.channels, pixels = a.pixels();
        const S *z = data(a), *g = gradient(b), *m = mean(a), *r = m + channels, f = factor(in);
        sums.assign(channels, 0.0);
        sums_z.assign(channels, 0.0);
        sum_up<S>(c.images, pixels, channels, sums.data(), [&](auto width, int64_t i, int64_t k) {
            return load<S, decltype(width)::value>(g + i * b.stride + k);
        });
        sum_up<S>(c.images, pixels, channels, sums_z.data(), [&](auto width, int64_t i, int64_t k) {
            constexpr int L = decltype(width)::value;
            return load<S, L>(g + i * b.stride + k) * (load<S, L>(z + i * channels + k) - load<S, L>(m + k));
        });
        std::vector<S> scale, shift;
        affine(in, scale, shift);
        std::vector<S> of_g(channels), of_z(channels), constant(channels), none(channels, S(0));
        double of_factor = 0;
        const double n = double(c.reference * pixels);
        for (int64_t k = 0; k < a.real; k++) {
            const double sum_gh = sums_z[k] * r[k], slope = double(f) * scale[k] * r[k];
            of_factor += scale[k] * sum_gh + shift[k] * sums[k];
            if (c.of_weights && in.weights[0] >= 0) {
                c.of_weights[in.weights[0]][task * a.real + k] = S(f * sum_gh);
                c.of_weights[in.weights[1]][task * a.real + k] = S(f * sums[k]);
            }
            of_g[k] = S(slope);
            of_z[k] = S(-slope * r[k] * sum_gh / n);
            constant[k] = S(-slope * sums[k] / n + slope * r[k] * sum_gh / n * m[k]);
        }
        if (c.of_factors && in.gate >= 0) c.of_factors[task * p.n_gates + in.gate] += S(of_factor);
        if (!passes_on(in)) return;
        const bool add = touch(a);
        const int64_t known = c.reference * pixels, others = (c.images - c.reference) * pixels;
        combine(known, g, b.stride, z, of_g.data(), of_z.data(), constant.data(), gradient(a), channels, add);
        combine(others, g + known * b.stride, b.stride, z + known * channels, of_g.data(), none.data(), none.data(),
                gradient(a) + known * channels, channels, add);
    }

    void add_back(const Instruction& in) {
        const Map &a = map(in.source), &b = map(in.target);
        const int64_t rows = c.images * a.pixels();
        const S* g = gradient(b);
        if (c.of_factors && in.gate >= 0) {
            const S* x = data(a);
            sums.assign(a.channels, 0.0);
            sum_up<S>(c.images, a.pixels(), a.channels, sums.data(), [&](auto width, int64_t i, int64_t k) {
                constexpr int L = decltype(width)::value;
                return load<S, L>(g + i * b.stride + k) * load<S, L>(x + i * a.stride + k);
            });
            double sum = 0;
            for (int64_t k = 0; k < a.channels; k++) sum += sums[k];
            c.of_factors[task * p.n_gates + in.gate] += S(sum);
        }
        if (!passes_on(in)) return;
        const std::vector<S> scale(a.channels, factor(in));
        const bool add = touch(a);
        scale_add<S>(rows, g, b.stride, scale.data(), nullptr, gradient(a), a.stride, a.channels, add);
    }

    void average_back(const Instruction& in) {
        const Map& a = map(in.source);
        const auto positions = a.positions();
        std::vector<S> row(a.channels, S(0));
        touch(a);
        for (int64_t i = 0; i < c.images; i++) {
            const S* g = c.of_out + (i * c.tasks + task) * a.real;
            for (int64_t k = 0; k < a.real; k++) row[positions[k]] = g[k] / S(a.pixels());
            for (int64_t m = 0; m < a.pixels(); m++)
                std::copy(row.begin(), row.end(), gradient(a) + i * a.image() + m * a.stride);
        }
    }
};
