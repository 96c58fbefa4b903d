// SPDX-License-Identifier: Apache-2.0
// Both sides are sorted by radix, eleven bits at a time, and walked through together.
#include "rank.h"

#include <array>
#include <memory>
#include <type_traits>
#include <utility>

#include "order.h"

namespace dssm {
namespace {

template <typename Item>
struct Items {
  std::unique_ptr<Item[]> data;  // not initialised
  int64_t size = 0;

  explicit Items(int64_t room) : data(new Item[room + 1]) {}  // an item that is not wanted may lie behind the last
  // A decision without a branch: no processor foresees which pixels are defective.
  void add(Item item, bool wanted = true) {
    data[size] = item;
    size += wanted;
  }
  const Item* begin() const { return data.get(); }
  const Item* end() const { return data.get() + size; }
};

// A key that knows where it comes from.
template <typename Key>
struct Labelled {
  Key key;
  int64_t index;
  operator Key() const { return key; }
};

// By key, which an item converts to; stable.
template <typename Key, typename Item>
void radix_sort(Items<Item>& items) {
  constexpr int kBits = 11, kBuckets = 1 << kBits, kPasses = (8 * sizeof(Key) + kBits - 1) / kBits;
  const auto digit = [](Key key, int pass) { return key >> pass * kBits & (kBuckets - 1); };
  std::array<std::array<int64_t, kBuckets>, kPasses> starts{};
  for (const Key key : items) {
    for (int pass = 0; pass < kPasses; ++pass) ++starts[pass][digit(key, pass)];
  }
  Items<Item> sorted(items.size);
  sorted.size = items.size;
  for (int pass = 0; pass < kPasses; ++pass) {
    int64_t start = 0;
    bool one_bucket = false;
    for (int64_t& count : starts[pass]) {
      one_bucket |= count == items.size;
      start += std::exchange(count, start);
    }
    if (one_bucket) continue;
    for (const Item& item : items) sorted.data[starts[pass][digit(item, pass)]++] = item;
    std::swap(items, sorted);
  }
}

template <typename T>
void rank(const Array& scores, const Array& among, const Array& where, int64_t* above, int64_t* tied) {
  using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;
  using Key = decltype(order(Real()));
  Items<Key> keys(among.size[0]);
  for (int64_t i = 0; i < among.size[0]; ++i) {
    keys.add(order(static_cast<Real>(*among.at<T>(i))), !where || *where.at<bool>(i));
  }
  Items<Labelled<Key>> queries(scores.size[0]);
  for (int64_t i = 0; i < scores.size[0]; ++i) queries.add({order(static_cast<Real>(*scores.at<T>(i))), i});
  radix_sort<Key>(keys);
  radix_sort<Key>(queries);

  const Key *below = keys.begin(), *upto = keys.begin();
  for (const auto& [key, index] : queries) {
    while (below < keys.end() && *below < key) ++below;
    while (upto < keys.end() && *upto <= key) ++upto;
    above[index] = keys.end() - upto;
    tied[index] = upto - below;
  }
}

}  // namespace

void rank_cpu(const Array& scores, const Array& among, const Array& where, const Array& above, const Array& tied) {
  visit<float, double, float16, bfloat16>(scores.type, [&](auto tag) {
    rank<typename decltype(tag)::type>(scores, among, where, above.as<int64_t>(), tied.as<int64_t>());
  });
}

}  // namespace dssm
