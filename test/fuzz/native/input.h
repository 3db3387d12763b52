// The bytes of the fuzzer as values, and the check that ends it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  size_t left() const { return left_; }

  // The next bytes as a value; zero when there are not enough.
  template <typename Value>
  Value Take() {
    Value value = {};
    if (left_ < sizeof(Value)) {
      left_ = 0;
      return value;
    }
    memcpy(&value, data_, sizeof(Value));
    data_ += sizeof(Value);
    left_ -= sizeof(Value);
    return value;
  }

  // What is left, in memory of its own, so that a byte too far is noticed.
  std::vector<uint8_t> Rest() {
    std::vector<uint8_t> rest(data_, data_ + left_);
    rest.shrink_to_fit();
    left_ = 0;
    return rest;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

inline void Check(bool holds) {
  if (!holds) abort();
}
