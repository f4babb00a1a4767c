// The plain C interface: forward and backward of a program, in single and double precision.
#include <atomic>
#include <thread>

#include "network.hpp"

namespace {

// Hands out tasks to threads; each task is computed by one of them, so their number changes no result.
template <class S, class F>
void each_task(const Program& program, const Call<S>& call, F f) {
    std::atomic<int64_t> next{0};
    auto work = [&](int64_t thread) {
        for (int64_t t; (t = next++) < call.tasks;) {
            Task<S> task(program, call, t, thread);
            f(task);
        }
    };
    std::vector<std::thread> others;
    for (int64_t i = 1; i < std::min(call.threads, call.tasks); i++) others.emplace_back(work, i);
    work(0);
    for (auto& other : others) other.join();
}

template <class S>
void forward(const Program& program, const Call<S>& call) {
    each_task(program, call, [](Task<S>& task) { task.forward(); });
}

template <class S>
void backward(const Program& program, const Call<S>& call) {
    each_task(program, call, [](Task<S>& task) { task.backward(); });
}

}  // namespace

extern "C" {
int64_t metanas_version() { return 1; }
void metanas_forward_float32(const Program* p, const Call<float>* c) { forward(*p, *c); }
void metanas_forward_float64(const Program* p, const Call<double>* c) { forward(*p, *c); }
void metanas_backward_float32(const Program* p, const Call<float>* c) { backward(*p, *c); }
void metanas_backward_float64(const Program* p, const Call<double>* c) { backward(*p, *c); }
}
