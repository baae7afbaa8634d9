// LibTorch is linked with Gloo but ships none of its headers: what c10d/ProcessGroupGloo.hpp names of it is declared here.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace gloo::rendezvous {

struct Store {
  virtual ~Store() = default;
  virtual void set(const std::string& key, const std::vector<char>& data) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};

}  // namespace gloo::rendezvous
