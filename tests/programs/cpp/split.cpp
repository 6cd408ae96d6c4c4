// As c/split.c, in C++: the two functions are members of a template in a namespace, and their work is a virtual call away.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <vector>

namespace work {

double cpu_s() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

struct Job {
    virtual ~Job() = default;
    virtual std::uint64_t run() = 0;
};

struct Spin : Job {
    std::uint64_t run() override {
        std::uint64_t state = 1;
        for (std::uint64_t round = 0; round < 20000; round++) state = state * 6364136223846793005u + round;
        return state;
    }
};

struct Compare : Job {
    std::vector<char> left = std::vector<char>(1 << 14), right = left;
    std::uint64_t run() override {
        std::uint64_t different = 0;
        for (int i = 0; i < 40; i++) different += std::memcmp(left.data(), right.data(), left.size());
        return different + 1;
    }
};

volatile std::uint64_t sink;

template <typename Clock> struct Split {
    std::vector<std::unique_ptr<Job>> jobs;
    Clock clock;

    [[gnu::noinline]] void three_quarters(double until_s) {
        while (clock() < until_s)
            for (auto &job : jobs) sink = sink + job->run();
    }
    [[gnu::noinline]] void one_quarter(double until_s) {
        while (clock() < until_s)
            for (auto &job : jobs) sink = sink + job->run() + 1;
    }
};

} // namespace work

int main(int argc, char **argv) {
    double all_s = argc > 1 ? std::atof(argv[1]) : 4;
    work::Split<double (*)()> split{{}, work::cpu_s};
    split.jobs.push_back(std::make_unique<work::Spin>());
    split.jobs.push_back(std::make_unique<work::Compare>());
    std::minstd_rand random(1);
    std::uniform_real_distribution<double> turn_s(0.5e-3, 1.5e-3);
    double spent_s[2] = {};
    double now_s = work::cpu_s(), end_s = now_s + all_s;
    while (now_s < end_s) {
        bool second = spent_s[0] > 3 * spent_s[1];
        double begun_s = now_s, until_s = begun_s + turn_s(random);
        if (second) split.one_quarter(until_s);
        else split.three_quarters(until_s);
        now_s = work::cpu_s();
        spent_s[second] += now_s - begun_s;
    }
    std::printf("%.4f\n", spent_s[0] / (spent_s[0] + spent_s[1]));
}
