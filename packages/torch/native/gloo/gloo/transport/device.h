// LibTorch is linked with Gloo but ships none of its headers: what c10d/ProcessGroupGloo.hpp names of it is declared here.
#pragma once

namespace gloo::transport {

class Device;

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = default;
};

}  // namespace gloo::transport
