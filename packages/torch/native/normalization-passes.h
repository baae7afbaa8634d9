// The passes of normalization.cpp over memory, on the CPU.

#pragma once

#include "distributed.h"
#include "kernels/normalize.h"
#include "rows.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace aaunet {

/// How a channels-last tensor is cut up.
struct Layout {
  int64_t segments;
  int64_t rows;  // of a segment
  int64_t channels;
  int64_t groups;

  int64_t groupSize() const { return channels / groups; }
  double valuesOfGroup() const { return static_cast<double>(rows) * static_cast<double>(groupSize()); }
  /// Few channels fill no vector: so many rows are then taken as one.
  int64_t fold() const {
    int64_t fold = 1;
    while (fold * channels < 16 && rows % (2 * fold) == 0) fold *= 2;
    return fold;
  }
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

/// Mean and 1 / standard deviation of every segment's groups, [segments x groups each], float64.
template <typename T>
void statistics(const Layout& layout, const at::Tensor& x, double eps, double* mean, double* inverse, double* variance) {
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
      mean[s * layout.groups + g] = average;
      variance[s * layout.groups + g] = positive;
      inverse[s * layout.groups + g] = 1 / std::sqrt(positive + eps);
    }
}

/// Turns mean and variance of this process's `values` a channel into those of all processes'; returns all processes' values.
inline double combineOverGroup(double values, double eps, std::vector<double> mean, std::vector<double> variance, double* means,
                               double* inverses, double* variances) {
  const size_t channels = mean.size();
  std::vector<double> mine{values};
  mine.insert(mine.end(), mean.begin(), mean.end());
  mine.insert(mine.end(), variance.begin(), variance.end());
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

  Line(const Layout& layout, const at::Tensor& weight, const at::Tensor& bias, const double* mean, const double* inverse)
      : scale(layout), shift(layout) {
    const auto w = toDouble<A>(weight), b = toDouble<A>(bias);
    for (int64_t s = 0; s < layout.segments; s++)
      for (int64_t c = 0; c < layout.channels; c++) {
        const int64_t g = s * layout.groups + c / layout.groupSize();
        scale.set(s, c, w[c] * inverse[g]);
        shift.set(s, c, b[c] - mean[g] * w[c] * inverse[g]);
      }
  }
};

template <typename T>
void normalize(const Layout& layout, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
               const at::Tensor& residual, bool relu, const double* mean, const double* inverse, at::Tensor& y) {
  const Line<typename Coefficient<T>::type> line(layout, weight, bias, mean, inverse);
  const int64_t wide = layout.channels * layout.fold();
  forRows(layout.segments, layout.rows / layout.fold(), wide, [&](int64_t segment, int64_t row, int64_t count) {
    const T* const added = in<T>(residual);
    normalizeKernels<T>().apply(in<T>(x) + row * wide, added ? added + row * wide : nullptr, out<T>(y) + row * wide, count, wide,
                                line.scale.of(segment), line.shift.of(segment), relu);
  });
}

/// What a backward pass computes; `dresidual` is undefined where there was no residual.
struct Gradients {
  at::Tensor dx, dresidual, dweight, dbias;
};

/// `y` is undefined where there was no ReLU or no residual: without one x tells where the ReLU has cut. With `fixed` statistics (inference)
/// they do not depend on x. `valuesOfGroup` have made them: with `synchronized` those of all processes.
template <typename T>
Gradients gradients(const Layout& layout, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& y, const at::Tensor& weight,
                    const at::Tensor& bias, bool relu, const double* mean, const double* inverse, bool fixed, bool hasResidual,
                    double valuesOfGroup, bool synchronized) {
  using A = typename Coefficient<T>::type;
  const auto w = toDouble<A>(weight);
  const Line<A> line(layout, weight, bias, mean, inverse);
  const auto passed = [&](int64_t segment, int64_t offset) -> Passed<T> {
    if (!relu) return {};
    if (y.defined()) return {in<T>(y) + offset};
    return {nullptr, line.scale.of(segment), line.shift.of(segment)};
  };
  const int64_t wide = layout.channels * layout.fold(), rows = layout.rows / layout.fold();
  Coefficients<A> pivots(layout);
  std::vector<double> pivot(static_cast<size_t>(layout.segments * layout.channels));
  for (int64_t s = 0; s < layout.segments; s++)
    for (int64_t c = 0; c < layout.channels; c++) {
      pivots.set(s, c, mean[s * layout.groups + c / layout.groupSize()]);
      // As it was rounded to.
      pivot[static_cast<size_t>(s * layout.channels + c)] = pivots.of(s)[c];
    }
  std::vector<double> first, second;
  sumsByChannel(layout, first, second, [&](int64_t row, int64_t count, double* one, double* two) {
    normalizeKernels<T>().gradientSums(in<T>(x) + row * wide, in<T>(dy) + row * wide, passed(row / rows, row * wide), count, wide,
                                       pivots.of(row / rows), one, two);
  });

  Gradients result;
  result.dx = at::empty_like(x);
  if (hasResidual) result.dresidual = at::empty_like(x);
  result.dweight = at::empty_like(weight);
  result.dbias = at::empty_like(weight);
  std::vector<double> dw(w.size(), 0.0), db(w.size(), 0.0);
  // Of w * gradient, and of w * gradient * normalised input.
  const auto groups = static_cast<size_t>(layout.segments * layout.groups);
  std::vector<double> sums(2 * groups, 0.0);
  for (int64_t s = 0; s < layout.segments; s++)
    for (int64_t g = 0; g < layout.groups; g++) {
      const auto at = static_cast<size_t>(s * layout.groups + g);
      for (int64_t c = g * layout.groupSize(); c < (g + 1) * layout.groupSize(); c++) {
        const auto i = static_cast<size_t>(s * layout.channels + c);
        const double centred = (second[i] + first[i] * (pivot[i] - mean[at])) * inverse[at];
        dw[static_cast<size_t>(c)] += centred;
        db[static_cast<size_t>(c)] += first[i];
        sums[at] += w[static_cast<size_t>(c)] * first[i];
        sums[groups + at] += w[static_cast<size_t>(c)] * centred;
      }
    }
  if (synchronized) sumOverGroup(sums);
  Coefficients<A> ofGradient(layout), ofInput(layout), constant(layout);
  for (int64_t s = 0; s < layout.segments; s++)
    for (int64_t g = 0; g < layout.groups; g++) {
      const auto at = static_cast<size_t>(s * layout.groups + g);
      const double average = mean[at], inv = inverse[at];
      const double ofX = fixed ? 0 : -inv * inv * sums[groups + at] / valuesOfGroup;
      const double always = fixed ? 0 : -inv * sums[at] / valuesOfGroup - ofX * average;
      for (int64_t c = g * layout.groupSize(); c < (g + 1) * layout.groupSize(); c++) {
        ofGradient.set(s, c, inv * w[static_cast<size_t>(c)]);
        ofInput.set(s, c, ofX);
        constant.set(s, c, always);
      }
    }
  std::copy(dw.begin(), dw.end(), result.dweight.template mutable_data_ptr<A>());
  std::copy(db.begin(), db.end(), result.dbias.template mutable_data_ptr<A>());
  forRows(layout.segments, layout.rows / layout.fold(), wide, [&](int64_t segment, int64_t row, int64_t count) {
    T* const added = out<T>(result.dresidual);
    normalizeKernels<T>().gradient(in<T>(x) + row * wide, in<T>(dy) + row * wide, passed(segment, row * wide),
                                   out<T>(result.dx) + row * wide, added ? added + row * wide : nullptr, count, wide,
                                   ofGradient.of(segment), ofInput.of(segment), constant.of(segment));
  });
  return result;
}

}  // namespace aaunet
