// The passes of normalization.cpp over memory, on the CPU.

#pragma once

#include "distributed.h"
#include "kernels/normalize.h"
#include "rows.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace aaunet {

/// How a channels-last tensor is cut up.
struct Layout {
  int64_t segments;
  int64_t rows;  // of a segment
  int64_t channels;
  int64_t groups;

  static Layout of(const at::Tensor& x, int64_t segments, int64_t groups) {
    return {segments, x.numel() / x.size(1) / segments, x.size(1), groups};
  }

  int64_t groupSize() const { return channels / groups; }
  double valuesOfGroup() const { return static_cast<double>(rows) * static_cast<double>(groupSize()); }
  /// Few channels fill no vector: so many rows are then taken as one.
  int64_t fold() const {
    int64_t fold = 1;
    while (fold * channels < 16 && rows % (2 * fold) == 0) fold *= 2;
    return fold;
  }
};

/// Of every segment's groups, in float64: [3 x segments x groups].
class Statistics {
 public:
  explicit Statistics(at::Tensor tensor) : tensor_(std::move(tensor)) {}
  static Statistics with(const at::Tensor& x, int64_t segments, int64_t groups) {
    return Statistics(at::empty({3, segments, groups}, x.options().dtype(at::kDouble)));
  }

  double* mean() const { return row(0); }
  /// 1 / standard deviation.
  double* inverse() const { return row(1); }
  /// Not of running statistics.
  double* variance() const { return row(2); }

  int64_t count() const { return tensor_.size(1) * tensor_.size(2); }
  const at::Tensor& tensor() const { return tensor_; }

 private:
  double* row(int64_t index) const { return tensor_.mutable_data_ptr<double>() + index * count(); }

  at::Tensor tensor_;
};

/// What an operator does.
struct Settings {
  double eps;
  bool relu;
  /// Whether the statistics are batch norm's running ones, which do not depend on the input.
  bool fixed = false;
  /// Whether they are those of all processes.
  bool synchronized = false;
};

/// A forward pass, as backward needs it.
struct Pass {
  Settings settings;
  Layout layout;
  at::Tensor x, weight, bias;
  Statistics statistics;
  /// Values of a group that have made the statistics: with `synchronized` those of all processes.
  double values;
  bool hasResidual;
  /// The output, kept where ReLU came after a residual: without one x tells where it has cut.
  at::Tensor y = {};
};

/// Two sums by channel for every segment. `add(first row, rows, two arrays of folded channels)` adds those of some rows (folded).
template <typename Add>
void sumsByChannel(const Layout& layout, std::vector<double>& first, std::vector<double>& second, Add add) {
  const int64_t wide = layout.channels * layout.fold(), rows = layout.rows / layout.fold();
  const auto sums = sumsBySegment(layout.segments, rows, wide, 2 * wide, [&](int64_t row, int64_t count, double* out) {
    add(row, count, out, out + wide);
  });
  first.assign(static_cast<size_t>(layout.segments * layout.channels), 0.0);
  second.assign(first.size(), 0.0);
  for (int64_t s = 0; s < layout.segments; s++)
    for (int64_t c = 0; c < wide; c++) {
      const auto to = static_cast<size_t>(s * layout.channels + c % layout.channels);
      first[to] += sums[static_cast<size_t>(2 * s * wide + c)];
      second[to] += sums[static_cast<size_t>((2 * s + 1) * wide + c)];
    }
}

/// One coefficient a channel and segment, repeated for folded rows.
template <typename A>
class Coefficients {
 public:
  explicit Coefficients(const Layout& layout)
      : channels_(layout.channels), fold_(layout.fold()), values_(static_cast<size_t>(layout.segments * channels_ * fold_)) {}

  void set(int64_t segment, int64_t channel, double value) {
    for (int64_t f = 0; f < fold_; f++)
      values_[static_cast<size_t>((segment * fold_ + f) * channels_ + channel)] = static_cast<A>(value);
  }
  const A* of(int64_t segment) const { return values_.data() + segment * channels_ * fold_; }

 private:
  int64_t channels_, fold_;
  std::vector<A> values_;
};

template <typename A>
std::vector<double> toDouble(const at::Tensor& tensor) {
  const A* const values = tensor.const_data_ptr<A>();
  return {values, values + tensor.numel()};
}

template <typename T>
void computeStatistics(const Layout& layout, const at::Tensor& x, double eps, const Statistics& to) {
  using A = typename Coefficient<T>::type;
  const auto& kernels = normalizeKernels<T>();
  // Sums about a value of the channel itself: of numbers far from 0 the squares would leave no digits for the variance.
  Coefficients<A> pivots(layout);
  std::vector<double> pivot(static_cast<size_t>(layout.segments * layout.channels));
  for (int64_t s = 0; s < layout.segments; s++)
    for (int64_t c = 0; c < layout.channels; c++) {
      const double value = widen(in<T>(x)[s * layout.rows * layout.channels + c]);
      pivot[static_cast<size_t>(s * layout.channels + c)] = std::isfinite(value) ? value : 0;
      pivots.set(s, c, pivot[static_cast<size_t>(s * layout.channels + c)]);
    }
  const int64_t wide = layout.channels * layout.fold(), rows = layout.rows / layout.fold();
  std::vector<double> first, second;
  sumsByChannel(layout, first, second, [&](int64_t row, int64_t count, double* one, double* two) {
    kernels.sums(in<T>(x) + row * wide, count, wide, pivots.of(row / rows), one, two);
  });
  const double n = static_cast<double>(layout.rows);
  double *const means = to.mean(), *const inverses = to.inverse(), *const variances = to.variance();
  for (int64_t s = 0; s < layout.segments; s++)
    for (int64_t g = 0; g < layout.groups; g++) {
      double sum = 0, squares = 0;
      const int64_t begin = s * layout.channels + g * layout.groupSize();
      for (int64_t i = begin; i < begin + layout.groupSize(); i++) sum += first[i] + n * pivot[i];
      const double average = sum / layout.valuesOfGroup();
      for (int64_t i = begin; i < begin + layout.groupSize(); i++) {
        const double shift = pivot[i] - average;
        squares += second[i] + 2 * first[i] * shift + n * shift * shift;
      }
      const double spread = squares / layout.valuesOfGroup();
      const double positive = spread < 0 ? 0 : spread;  // NaN stays
      means[s * layout.groups + g] = average;
      variances[s * layout.groups + g] = positive;
      inverses[s * layout.groups + g] = 1 / std::sqrt(positive + eps);
    }
}

/// Turns the statistics of this process's `values` a channel into those of all processes'; returns all processes' values.
inline double combineOverGroup(double values, double eps, const Statistics& statistics) {
  const auto channels = static_cast<size_t>(statistics.count());
  double *const means = statistics.mean(), *const inverses = statistics.inverse(), *const variances = statistics.variance();
  std::vector<double> mine{values};
  mine.insert(mine.end(), means, means + channels);
  mine.insert(mine.end(), variances, variances + channels);
  const auto all = gatherFromGroup(mine);
  double total = 0;
  for (const auto& row : all) total += row[0];
  for (size_t c = 0; c < channels; c++) {
    double average = 0, spread = 0;
    for (const auto& row : all) average += row[0] / total * row[1 + c];
    for (const auto& row : all) {
      const double shift = row[1 + c] - average;
      spread += row[0] / total * (row[1 + channels + c] + shift * shift);
    }
    means[c] = average;
    variances[c] = spread;
    inverses[c] = 1 / std::sqrt(spread + eps);
  }
  return total;
}

/// Normalisation as y = x * scale + shift.
template <typename A>
struct Line {
  Coefficients<A> scale, shift;

  explicit Line(const Pass& pass) : scale(pass.layout), shift(pass.layout) {
    const Layout& layout = pass.layout;
    const auto w = toDouble<A>(pass.weight), b = toDouble<A>(pass.bias);
    const double *const mean = pass.statistics.mean(), *const inverse = pass.statistics.inverse();
    for (int64_t s = 0; s < layout.segments; s++)
      for (int64_t c = 0; c < layout.channels; c++) {
        const int64_t g = s * layout.groups + c / layout.groupSize();
        scale.set(s, c, w[c] * inverse[g]);
        shift.set(s, c, b[c] - mean[g] * w[c] * inverse[g]);
      }
  }
};

template <typename T>
void normalize(const Pass& pass, const at::Tensor& residual, const at::Tensor& y) {
  const Line<typename Coefficient<T>::type> line(pass);
  const Layout& layout = pass.layout;
  const int64_t wide = layout.channels * layout.fold();
  forRows(layout.segments, layout.rows / layout.fold(), wide, [&](int64_t segment, int64_t row, int64_t count) {
    const T* const added = in<T>(residual);
    normalizeKernels<T>().apply(in<T>(pass.x) + row * wide, added ? added + row * wide : nullptr, out<T>(y) + row * wide, count, wide,
                                line.scale.of(segment), line.shift.of(segment), pass.settings.relu);
  });
}

/// What a backward pass computes; `dresidual` is undefined where there was no residual.
struct Gradients {
  at::Tensor dx, dresidual, dweight, dbias;

  explicit Gradients(const Pass& pass)
      : dx(at::empty_like(pass.x)),
        dresidual(pass.hasResidual ? at::empty_like(pass.x) : at::Tensor()),
        dweight(at::empty_like(pass.weight)),
        dbias(at::empty_like(pass.weight)) {}
};

/// Where a pass has cut off, for the rows of a segment from `offset` on.
template <typename T, typename A>
Passed<T> passedOf(const Pass& pass, const Line<A>& line, int64_t segment, int64_t offset) {
  if (!pass.settings.relu) return {};
  if (pass.y.defined()) return {in<T>(pass.y) + offset};
  return {nullptr, line.scale.of(segment), line.shift.of(segment)};
}

/// The gradient of the input as dx = dy * ofGradient + x * ofInput + constant, computed from sums over rows along with the parameters' own.
template <typename T>
struct InputGradient {
  using A = typename Coefficient<T>::type;
  Coefficients<A> ofGradient, ofInput, constant;

  InputGradient(const Pass& pass, const at::Tensor& dy, const Line<A>& line, const Gradients& to)
      : ofGradient(pass.layout), ofInput(pass.layout), constant(pass.layout) {
    const Layout& layout = pass.layout;
    const double *const mean = pass.statistics.mean(), *const inverse = pass.statistics.inverse();
    const auto w = toDouble<A>(pass.weight);
    const int64_t wide = layout.channels * layout.fold(), rows = layout.rows / layout.fold();
    Coefficients<A> pivots(layout);
    for (int64_t s = 0; s < layout.segments; s++)
      for (int64_t c = 0; c < layout.channels; c++) pivots.set(s, c, mean[s * layout.groups + c / layout.groupSize()]);
    // Of dy, and of dy (x - pivot).
    std::vector<double> first, second;
    sumsByChannel(layout, first, second, [&](int64_t row, int64_t count, double* one, double* two) {
      normalizeKernels<T>().gradientSums(in<T>(pass.x) + row * wide, in<T>(dy) + row * wide, passedOf<T>(pass, line, row / rows, row * wide),
                                         count, wide, pivots.of(row / rows), one, two);
    });

    std::vector<double> dw(w.size(), 0.0), db(w.size(), 0.0);
    // Of w * gradient, and of w * gradient * normalised input.
    const auto groups = static_cast<size_t>(pass.statistics.count());
    std::vector<double> sums(2 * groups, 0.0);
    forEachChannel(layout, [&](int64_t s, size_t group, int64_t c) {
      const auto i = static_cast<size_t>(s * layout.channels + c);
      // The pivot as it was rounded to.
      const double centred = (second[i] + first[i] * (pivots.of(s)[c] - mean[group])) * inverse[group];
      dw[static_cast<size_t>(c)] += centred;
      db[static_cast<size_t>(c)] += first[i];
      sums[group] += w[static_cast<size_t>(c)] * first[i];
      sums[groups + group] += w[static_cast<size_t>(c)] * centred;
    });
    std::copy(dw.begin(), dw.end(), to.dweight.template mutable_data_ptr<A>());
    std::copy(db.begin(), db.end(), to.dbias.template mutable_data_ptr<A>());
    if (pass.settings.synchronized) sumOverGroup(sums);
    forEachChannel(layout, [&](int64_t s, size_t group, int64_t c) {
      const double inv = inverse[group];
      const double ofX = pass.settings.fixed ? 0 : -inv * inv * sums[groups + group] / pass.values;
      ofGradient.set(s, c, inv * w[static_cast<size_t>(c)]);
      ofInput.set(s, c, ofX);
      constant.set(s, c, pass.settings.fixed ? 0 : -inv * sums[group] / pass.values - ofX * mean[group]);
    });
  }

 private:
  /// Calls `body(segment, number of the group, channel)`.
  template <typename Body>
  static void forEachChannel(const Layout& layout, Body body) {
    for (int64_t s = 0; s < layout.segments; s++)
      for (int64_t c = 0; c < layout.channels; c++) body(s, static_cast<size_t>(s * layout.groups + c / layout.groupSize()), c);
  }
};

template <typename T>
void computeGradients(const Pass& pass, const at::Tensor& dy, const Gradients& to) {
  const Line<typename Coefficient<T>::type> line(pass);
  const InputGradient<T> gradient(pass, dy, line, to);
  const Layout& layout = pass.layout;
  const int64_t wide = layout.channels * layout.fold();
  forRows(layout.segments, layout.rows / layout.fold(), wide, [&](int64_t segment, int64_t row, int64_t count) {
    T* const added = out<T>(to.dresidual);
    normalizeKernels<T>().gradient(in<T>(pass.x) + row * wide, in<T>(dy) + row * wide, passedOf<T>(pass, line, segment, row * wide),
                                   out<T>(to.dx) + row * wide, added ? added + row * wide : nullptr, count, wide,
                                   gradient.ofGradient.of(segment), gradient.ofInput.of(segment), gradient.constant.of(segment));
  });
}

}  // namespace aaunet
