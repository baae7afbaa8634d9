#pragma once

#include <vector>

namespace aaunet {

/// The processes that train together; 1 where no group was joined.
int groupSize();
/// The values of all processes, one row for each in the order of their ranks. Every process calls it with as many values.
std::vector<std::vector<double>> gatherFromGroup(const std::vector<double>& values);
/// Replaces the values by their sums over all processes.
void sumOverGroup(std::vector<double>& values);

}  // namespace aaunet
