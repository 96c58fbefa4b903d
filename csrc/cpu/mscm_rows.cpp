// SPDX-License-Identifier: Apache-2.0
#include "mscm_rows.h"

namespace dssm::mscm {

Rows rows_of(const Array& map, int64_t first, int64_t images, Buffer& buffer, int64_t pitch) {
  const auto [batch, channels, height, width] = sizes<4>(map);
  const auto& stride = map.stride;
  const int64_t step = width > 1 ? stride[3] : height > 1 ? stride[2] : stride[0];  // from pixel to pixel
  const bool planes = height == 1 || stride[2] == width * step;
  const bool rows = planes && (images == 1 || stride[0] == height * width * step) && (channels == 1 || stride[1] == 1);
  if (rows && map.type == Type::float32) return {map.at<float>(first), step};
  float* to = buffer.reserve(images * height * width * pitch);
  visit<float, bfloat16, float16>(map.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const int64_t pieces = planes ? 1 : height, length = planes ? height * width : width;
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t piece = 0; piece < pieces; ++piece) {
        const T* from = map.at<T>(first + image, int64_t{0}, piece);
        to_rows<const T>({from, length, channels, planes ? step : stride[3], stride[1]}, to, pitch);
        to += length * pitch;
      }
    }
  });
  return {buffer.data(), pitch};
}

}  // namespace dssm::mscm
